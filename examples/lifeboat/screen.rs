//! The terminal: its width, colour where it is welcome, tables, and lists that do not run away.
//!
//! Used by the commands' forms for people.

use crate::words;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::fmt::Write;
use std::io::{IsTerminal, stdout};

/// How many lines or names of a list are shown without `--all`.
const SHOWN: usize = 20;
/// Width of running text where there is no terminal.
const TEXT_WIDTH: usize = 100;

/// How text is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Columns of the terminal, if there is one.
    width: Option<u16>,
    colour: bool,
    all: bool,
}

/// What a piece of text says, for its colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Good,
    Bad,
    Unsure,
    Heading,
}

/// The sides of the columns that are aligned to the right.
pub(crate) type RightColumns<'a> = &'a [usize];

impl Screen {
    /// Standard output as it is; `all` shows long lists in full.
    pub(crate) fn of_stdout(all: bool) -> Self {
        let terminal = stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let width = terminal_size::terminal_size_of(stdout()).map(|(width, _)| width.0);
        Self { width: width.filter(|_| terminal), colour: terminal && !no_colour && !dumb, all }
    }

    /// Text in the colour of its tone.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_string();
        }
        let code = match tone {
            Tone::Good => "1;32",
            Tone::Bad => "1;31",
            Tone::Unsure => "1;33",
            Tone::Heading => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// An empty line and a heading.
    pub(crate) fn heading(self, out: &mut String, text: &str) {
        let _ = writeln!(out, "\n{}", self.tone(Tone::Heading, text));
    }

    /// A paragraph, wrapped between words.
    pub(crate) fn paragraph(self, out: &mut String, indent: usize, text: &str) {
        for line in self.wrap(indent, text) {
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    }

    /// The lines of a paragraph, without the indent.
    fn wrap(self, indent: usize, text: &str) -> Vec<String> {
        let width = self.text_width().saturating_sub(indent).max(20);
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let Some(line) = lines.last_mut() else { break };
            if line.is_empty() {
                line.push_str(word);
            } else if line.chars().count() + 1 + word.chars().count() <= width {
                line.push(' ');
                line.push_str(word);
            } else {
                lines.push(word.to_string());
            }
        }
        lines
    }

    fn text_width(self) -> usize {
        self.width.map_or(TEXT_WIDTH, |width| usize::from(width).min(TEXT_WIDTH))
    }

    /// Names, separated by commas: the first ones, and how many more there are.
    pub(crate) fn names<'a>(self, names: impl ExactSizeIterator<Item = &'a str>) -> String {
        let count = names.len();
        let shown: Vec<_> = names.take(self.limit(count)).map(words::clean).collect();
        let more = self.more(count).map_or_else(String::new, |more| format!(", {more}"));
        format!("{}{more}", shown.join(", "))
    }

    /// A table: the first rows, and how many more there are.
    pub(crate) fn table(self, out: &mut String, header: &[&str], right: RightColumns<'_>, rows: Vec<Vec<String>>) {
        let count = rows.len();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width.saturating_sub(2).max(40));
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(header.iter().copied());
        for row in rows.into_iter().take(self.limit(count)) {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
            if right.contains(&column.index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            let _ = writeln!(out, "  {}", line.trim_end());
        }
        if let Some(more) = self.more(count) {
            let _ = writeln!(out, "  {more}");
        }
    }

    /// Lines with a dash: the first ones, and how many more there are.
    pub(crate) fn lines(self, out: &mut String, lines: Vec<String>) {
        let count = lines.len();
        for line in lines.into_iter().take(self.limit(count)) {
            for (position, part) in self.wrap(4, &line).into_iter().enumerate() {
                let _ = writeln!(out, "  {} {part}", if position == 0 { '-' } else { ' ' });
            }
        }
        if let Some(more) = self.more(count) {
            let _ = writeln!(out, "  {more}");
        }
    }

    /// How many of so many things are shown.
    fn limit(self, count: usize) -> usize {
        // One thing more costs no more than the line that says so.
        if self.all || count <= SHOWN + 1 { count } else { SHOWN }
    }

    /// What is said of those that are not shown.
    fn more(self, count: usize) -> Option<String> {
        let left = count - self.limit(count);
        (left > 0).then(|| format!("and {left} more; --all shows them"))
    }
}
