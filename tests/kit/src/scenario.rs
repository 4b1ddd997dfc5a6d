//! Scenario files: clusters in a short notation, commands, and what they answer.
//!
//! Used by `tests/scenarios.rs`; whatever else answers questions about clusters can run the same corpus. `notation` turns
//! a cluster into a document `lifeboat/1`, so that a scenario means what a document means.
//!
//! A file is a row of blocks. A block is a title behind `#` (more lines behind `#` are remarks), a cluster, and one or
//! more commands; below each command stands `----`, and below that its answer up to a blank line:
//!
//! ```text
//! # A node dies and its VM finds a place
//! # The smaller of the two holes is enough.
//! node n1 n2 n3 8
//! vm   db 4 on=n1
//! plan fail=n1
//! ----
//! complete, optimal
//! db -> n3
//! ```
//!
//! The cluster of a block is either in the notation, or a whole document from a line `{` to a line `}`.
//!
//! | line | meaning |
//! |---|---|
//! | `kinds cpu/MHz memory/MiB+64 gpu/GPU?` | resource kinds with units; `+` = per VM, `?` = optional. Without it: `memory/GiB` |
//! | `levels site rack` | levels, widest first. Without it: those that nodes name |
//! | `node NAME... AMOUNTS key=value...` | nodes; amounts in the order of the kinds, as `4/2048` |
//! | | keys: `reserved`, `overcommit`, `failover` (amounts), `labels`, `role`, `state`, `start_limit`; others are levels |
//! | `vm NAME... AMOUNTS key=value...` | VMs; without `on`, and not `off`, they wait for a place |
//! | | keys: `on`, `to`, `priority`, `class`, `restart` (amounts), `requires`, `move_requires`, `allowed`, `groups`, `start` (seconds), `after`; words: `off`, `pinned` (not migratable), `firm` (not preemptible) |
//! | | `after=dc:ready:delay=30:timeout=600:give_up,db` |
//! | `rule NAME KIND MEMBER... key=value...` | members are VMs, or groups as `@web`; keys `level`, `max`, `min`, `skew`, `leader`, `nodes`, `domains` (`rack:a`), `labels`, `sides` (`a,b\|c`), `preferred` (weight); word `relaxed` |
//! | `tolerate node=2 rack=1 priority=high` | a failure class of the policy |
//! | `policy key=value...` | `preemption`, `strategy`, `gate`, `gate_timeout`, `budget`, `uncoverable` |
//!
//! Names with spaces stand in double quotes.

use serde_json::{Map, Value, json};

/// One block of a scenario file.
#[derive(Clone, Debug)]
pub struct Block {
    /// What it shows.
    pub title: String,
    /// The lines above the first command, title included, as they stand.
    pub head: String,
    /// The document, as JSON.
    pub document: String,
    /// What is asked, in order.
    pub asks: Vec<Ask>,
}

/// A command, and what it should answer.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The command in words: `["plan", "fail=n1"]`.
    pub words: Vec<String>,
    /// The same as it stands.
    pub line: String,
    /// The expected lines.
    pub expected: String,
}

/// The commands that end a cluster.
const COMMANDS: [&str; 6] = ["plan", "explain", "verify", "check", "estimate", "help"];

/// The blocks of a file.
///
/// # Panics
/// If it is not in the form above.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    loop {
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        let Some(first) = lines.next() else { return blocks };
        let title = first.strip_prefix("# ").unwrap_or_else(|| panic!("a title behind '# ', not {first:?}"));
        let mut head = format!("{first}\n");
        let mut body = String::new();
        while let Some(line) = lines.next_if(|line| !is_command(line)) {
            head.push_str(line);
            head.push('\n');
            if !line.starts_with('#') {
                body.push_str(line);
                body.push('\n');
            }
        }
        let document = if body.starts_with('{') { body } else { notation(title, &body) };
        let mut asks = Vec::new();
        while let Some(line) = lines.next_if(|line| is_command(line)) {
            assert_eq!(lines.next(), Some("----"), "{title}: '----' below {line:?}");
            let mut expected = String::new();
            // An answer that is not there yet may be followed by a command at once.
            while let Some(line) =
                lines.next_if(|line| !(line.trim().is_empty() || expected.is_empty() && is_command(line)))
            {
                expected.push_str(line);
                expected.push('\n');
            }
            asks.push(Ask { words: words(line), line: line.to_string(), expected });
            while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        }
        assert!(!asks.is_empty(), "{title}: no command");
        blocks.push(Block { title: title.to_string(), head, document, asks });
    }
}

/// A file from its blocks, with these answers.
#[must_use]
pub fn write(blocks: &[(Block, Vec<String>)]) -> String {
    let mut text = String::new();
    for (block, answers) in blocks {
        text.push_str(&block.head);
        for (ask, answer) in block.asks.iter().zip(answers) {
            text.push_str(&format!("{}\n----\n{answer}\n", ask.line));
        }
    }
    format!("{}\n", text.trim_end())
}

fn is_command(line: &str) -> bool {
    line.split(' ').next().is_some_and(|word| COMMANDS.contains(&word))
}

/// The words of a line; what stands in double quotes is part of one word.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter.is_whitespace() && !quoted => words.push(String::new()),
            letter => words.last_mut().expect("a word").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A cluster in the notation, as a document.
fn notation(title: &str, body: &str) -> String {
    let mut writer = Writer { title, ..Writer::default() };
    for line in body.lines().filter(|line| !line.trim().is_empty()) {
        let words = words(line);
        let (what, rest) = words.split_first().expect("a word");
        match what.as_str() {
            "kinds" => writer.kinds = rest.iter().map(|word| writer.kind(word)).collect(),
            "levels" => writer.levels = rest.to_vec(),
            "node" => writer.add_nodes(rest),
            "vm" => writer.add_vms(rest),
            "rule" => writer.add_rule(rest),
            "tolerate" => writer.tolerate(rest),
            "policy" => writer.set_policy(rest),
            other => panic!("{title}: no line begins with {other:?}"),
        }
    }
    writer.finish()
}

#[derive(Default)]
struct Writer<'a> {
    title: &'a str,
    /// Name and description.
    kinds: Vec<(String, Value)>,
    levels: Vec<String>,
    nodes: Vec<Value>,
    vms: Vec<Value>,
    rules: Vec<Value>,
    tolerate: Vec<Value>,
    policy: Map<String, Value>,
}

impl Writer<'_> {
    fn kind(&self, word: &str) -> (String, Value) {
        let (name, unit) = word.split_once('/').unwrap_or((word, ""));
        let (unit, optional) = unit.strip_suffix('?').map_or((unit, false), |unit| (unit, true));
        let (unit, per_vm) = unit.split_once('+').unwrap_or((unit, "0"));
        (name.to_string(), json!({"name": name, "unit": unit, "optional": optional, "per_vm": self.number(per_vm)}))
    }

    fn number(&self, word: &str) -> u64 {
        word.parse().unwrap_or_else(|_| panic!("{}: {word:?} is no number", self.title))
    }

    /// Amounts in the order of the kinds.
    fn amounts(&mut self, word: &str) -> Value {
        if self.kinds.is_empty() {
            self.kinds.push(self.kind("memory/GiB"));
        }
        let amounts: Vec<u64> = word.split('/').map(|amount| self.number(amount)).collect();
        assert!(amounts.len() <= self.kinds.len(), "{}: {word:?} has too many amounts", self.title);
        self.kinds.iter().zip(amounts).map(|((name, _), amount)| (name.clone(), json!(amount))).collect()
    }

    /// Names before the first amounts, the amounts, and the rest as `(key, value)`.
    fn object<'w>(&mut self, words: &'w [String]) -> (&'w [String], Value, Vec<(&'w str, &'w str)>) {
        let is_amounts = |word: &String| word.chars().all(|letter| letter.is_ascii_digit() || letter == '/');
        let at = words.iter().position(is_amounts).unwrap_or_else(|| panic!("{}: no amounts", self.title));
        let amounts = self.amounts(&words[at]);
        let rest = words[at + 1..].iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
        (&words[..at], amounts, rest)
    }

    fn add_nodes(&mut self, words: &[String]) {
        let (names, capacity, keys) = self.object(words);
        let mut node = json!({"capacity": capacity});
        let mut domains = Map::new();
        for (key, value) in keys {
            match key {
                "reserved" | "overcommit" => node[key] = self.amounts(value),
                "failover" => node["failover_overcommit"] = self.amounts(value),
                "labels" => node[key] = list(value),
                "role" | "state" => node[key] = json!(value),
                "start_limit" => node[key] = json!(self.number(value)),
                level => {
                    if !self.levels.iter().any(|known| known == level) {
                        self.levels.push(level.to_string());
                    }
                    domains.insert(level.to_string(), json!(value));
                }
            }
        }
        node["domain"] = domains.into();
        for name in names {
            node["name"] = json!(name);
            self.nodes.push(node.clone());
        }
    }

    fn add_vms(&mut self, words: &[String]) {
        let (names, demand, keys) = self.object(words);
        let mut vm = json!({"demand": demand, "power": "on"});
        for (key, value) in keys {
            match key {
                "on" => vm["node"] = json!(value),
                "to" => vm["migrating_to"] = json!(value),
                "priority" => vm[key] = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)),
                "class" => vm["restart"] = json!(value),
                "restart" => vm["restart_demand"] = self.amounts(value),
                "requires" | "groups" => vm[key] = list(value),
                "move_requires" => vm["migrate_requires"] = list(value),
                "allowed" => vm["allowed_nodes"] = list(value),
                "start" => vm["start_s"] = json!(self.number(value)),
                "after" => vm["starts_after"] = value.split(',').map(|edge| self.edge(edge)).collect(),
                "off" => vm["power"] = json!("off"),
                "pinned" => vm["migratable"] = json!(false),
                "firm" => vm["preemptible"] = json!(false),
                other => panic!("{}: a VM has no {other:?}", self.title),
            }
        }
        for name in names {
            vm["name"] = json!(name);
            self.vms.push(vm.clone());
        }
    }

    fn edge(&self, text: &str) -> Value {
        let mut parts = text.split(':');
        let mut edge = json!({"vm": parts.next()});
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("started" | "ready", _) => edge["until"] = json!(part),
                ("continue" | "give_up", _) => edge["on_timeout"] = json!(part),
                ("delay", seconds) => edge["delay_s"] = json!(self.number(seconds)),
                ("timeout", seconds) => edge["timeout_s"] = json!(self.number(seconds)),
                _ => panic!("{}: a start edge has no {part:?}", self.title),
            }
        }
        edge
    }

    fn add_rule(&mut self, words: &[String]) {
        let [name, kind, rest @ ..] = words else { panic!("{}: a rule has a name and a kind", self.title) };
        let mut rule = json!({"name": name, "kind": kind});
        let (mut vms, mut groups) = (Vec::new(), Vec::new());
        for word in rest {
            match word.split_once('=') {
                Some(("level" | "leader", value)) => rule[&word[..word.len() - value.len() - 1]] = json!(value),
                Some(("max", value)) => rule["max_per_domain"] = json!(self.number(value)),
                Some(("min", value)) => rule["min_domains"] = json!(self.number(value)),
                Some(("skew", value)) => rule["max_skew"] = json!(self.number(value)),
                Some(("nodes", value)) => rule["nodes"] = list(value),
                Some(("labels", value)) => rule["labels"] = list(value),
                Some(("domains", value)) => {
                    let mut domains: Map<String, Value> = Map::new();
                    for domain in value.split(',') {
                        let (level, domain) = domain.split_once(':').expect("level:domain");
                        let names = domains.entry(level).or_insert_with(|| json!([]));
                        names.as_array_mut().expect("a list").push(json!(domain));
                    }
                    rule["domains"] = domains.into();
                }
                Some(("sides", value)) => rule["sides"] = value.split('|').map(list).collect(),
                Some(("preferred", weight)) => {
                    rule["strength"] = json!("preferred");
                    rule["weight"] = json!(self.number(weight));
                }
                Some((other, _)) => panic!("{}: a rule has no {other:?}", self.title),
                None if word == "relaxed" => rule["strength"] = json!(word),
                None => match word.strip_prefix('@') {
                    Some(group) => groups.push(group),
                    None => vms.push(word),
                },
            }
        }
        if !vms.is_empty() {
            rule["vms"] = json!(vms);
        }
        if !groups.is_empty() {
            rule["vm_groups"] = json!(groups);
        }
        self.rules.push(rule);
    }

    fn tolerate(&mut self, words: &[String]) {
        let mut class = json!({"fail": {}});
        for word in words {
            match word.split_once('=').expect("level=count") {
                ("priority", value) => class["min_priority"] = json!(value),
                ("order", value) => class["order"] = json!(value),
                (level, count) => class["fail"][level] = json!(self.number(count)),
            }
        }
        self.tolerate.push(class);
    }

    fn set_policy(&mut self, words: &[String]) {
        for word in words {
            let (key, value) = word.split_once('=').expect("key=value");
            match key {
                "preemption" | "strategy" | "uncoverable" => drop(self.policy.insert(key.into(), json!(value))),
                "gate" => self.start()["tier_gate"] = json!(value),
                "gate_timeout" => self.start()["tier_timeout_s"] = json!(value.parse::<u64>().expect("seconds")),
                "budget" => drop(self.policy.insert("budget".into(), json!({"plan": self.number(value)}))),
                other => panic!("{}: a policy has no {other:?}", self.title),
            }
        }
    }

    fn start(&mut self) -> &mut Value {
        self.policy.entry("start").or_insert_with(|| json!({}))
    }

    fn finish(mut self) -> String {
        if self.kinds.is_empty() {
            self.kinds.push(self.kind("memory/GiB"));
        }
        if !self.tolerate.is_empty() {
            self.policy.insert("tolerate".into(), self.tolerate.into());
        }
        let kinds: Vec<Value> = self.kinds.into_iter().map(|(_, kind)| kind).collect();
        let document = json!({
            "format": "lifeboat/1", "resources": kinds, "levels": self.levels, "nodes": self.nodes, "vms": self.vms,
            "rules": self.rules, "policy": self.policy,
        });
        document.to_string()
    }
}

fn list(value: &str) -> Value {
    if value.is_empty() { json!([]) } else { value.split(',').collect() }
}
