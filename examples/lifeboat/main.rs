//! `lifeboat`, the example program: checks a document, plans restarts, proves guarantees.
//!
//! Reads, calls the library, prints. Whatever is decided is decided in the library, which also has the form for programs
//! (`lifeboat::answers`). `args` says what can be asked, `input` reads, `interrupt` handles Ctrl-C and progress, the others
//! are the commands, each with its form for people, and `screen` knows the terminal.
#![allow(clippy::arithmetic_side_effects, reason = "counts and widths of what is printed")]
#![allow(clippy::disallowed_methods, reason = "a program has an environment and a clock; the library has neither")]

mod admit;
mod args;
mod capacity;
mod check;
mod check_certificate;
mod check_plan;
mod compare;
mod input;
mod interrupt;
mod plan;
mod plan_text;
mod screen;
mod verify;
mod verify_text;
mod words;

use args::{Cli, Command};
use clap::Parser;
use input::Stop;
use interrupt::Interrupt;
use lifeboat::answers::{Fault, errors, to_text};
use std::io::{self, Write};
use std::process::ExitCode;

/// What a command has to say: text for standard output, and the exit status.
struct Answer {
    text: String,
    status: u8,
}

/// Exit status of bad input.
const BAD_INPUT: u8 = 2;
/// Exit status after Ctrl-C.
const CANCELLED: u8 = 4;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let interrupt = Interrupt::install();
    let answer = match &cli.command {
        Command::Check(args) => check::run(args),
        Command::Plan(args) => plan::run(args, &interrupt),
        Command::CheckPlan(args) => check_plan::run(args),
        Command::Verify(args) => verify::run(args, &interrupt),
        Command::CheckCertificate(args) => check_certificate::run(args),
        Command::Capacity(args) => capacity::run(args, &interrupt),
        Command::Compare(args) => compare::run(args, &interrupt),
        Command::Admit(args) => admit::run(args),
    };
    let answer = answer.unwrap_or_else(|stop| stopped(stop, cli.command.json()));
    if print(&answer.text).is_err() {
        return ExitCode::from(BAD_INPUT);
    }
    ExitCode::from(answer.status)
}

/// What is said when a command does not come to an answer.
fn stopped(stop: Stop, json: bool) -> Answer {
    match stop {
        Stop::Cancelled => {
            interrupt::say_cancelled();
            Answer { text: String::new(), status: CANCELLED }
        }
        Stop::BadInput(faults) => {
            input::complain(&faults);
            let text = if json { to_text(&errors(&faults)) } else { String::new() };
            Answer { text, status: BAD_INPUT }
        }
    }
}

/// A command line that cannot be understood, or a question about the program itself.
fn usage(error: &clap::Error) -> ExitCode {
    let is_help = !error.use_stderr();
    let json = std::env::args_os().any(|arg| arg == "--json");
    if error.print().is_err() {
        return ExitCode::from(BAD_INPUT);
    }
    if is_help {
        return ExitCode::SUCCESS;
    }
    if json {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string();
        let _ = print(&to_text(&errors(&[Fault::new("", None, "usage", first)])));
    }
    ExitCode::from(BAD_INPUT)
}

/// Writes an answer. A reader that has gone away (`| head`) is no error.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: cannot write the answer: {error}");
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}
