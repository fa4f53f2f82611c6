//! The demo as a person meets it: what it prints, the commands it offers, and its end.
#![expect(clippy::disallowed_methods, reason = "a person's patience is measured on the wall")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// A process whose lines are read as they come.
struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the command starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self { child, lines, seen: String::new() }
    }

    /// Reads on until a line satisfies the test; that line.
    fn until(&mut self, what: &str, limit: Duration, test: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        while let Some(left) = limit.checked_sub(since.elapsed()) {
            let Ok(line) = self.lines.recv_timeout(left) else { break };
            self.seen.push_str(&line);
            self.seen.push('\n');
            if test(&line) {
                return line;
            }
        }
        panic!("in vain: {what}\n{}", self.seen);
    }

    fn interrupt(mut self) -> String {
        let kill = Command::new("sh").arg("-c").arg(format!("kill -INT {}", self.child.id())).status();
        assert!(kill.is_ok_and(|status| status.success()));
        self.until("the last word", PATIENCE, |line| line.contains("nothing is left behind"));
        assert!(self.child.wait().expect("it ends").success());
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Commands that the demo offers: lines that begin with `curl`, with their continuations.
fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut continues = false;
    for line in text.lines().map(str::trim) {
        if continues {
            if let Some(last) = commands.last_mut() {
                last.push_str(line.trim_end_matches('\\'));
            }
        } else if line.starts_with("curl ") {
            commands.push(line.trim_end_matches('\\').to_owned());
        }
        continues = line.ends_with('\\') && !commands.is_empty();
    }
    commands
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(command).output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_person_can_start_it_paste_its_commands_and_watch_traffic_move() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args([
        "demo",
        "--port",
        "0",
        "--admin-port",
        "0",
        "--providers-port",
        "0",
        "--rate",
        "60",
        "--every",
        "0.5",
    ]);
    command.env("POINTSMAN_LOG", "error");
    let since = Instant::now();
    let mut demo = Running::start(command);
    demo.until("the introduction", PATIENCE, |line| line.starts_with("Traffic"));
    assert!(since.elapsed() < Duration::from_secs(2), "it took {:?} to start", since.elapsed());
    let commands = commands(&demo.seen);
    assert_eq!(commands.len(), 3, "{}", demo.seen);

    let whole = shell(&commands[0]);
    assert!(whole.starts_with("HTTP/1.1 200") && whole.contains("x-pointsman-target: north/aurora@north"), "{whole}");
    let stream = shell(&commands[1]);
    assert!(stream.contains("data: {") && stream.trim_end().ends_with("data: [DONE]"), "{stream}");

    let of_chat = |line: &str, provider: &str| {
        line.starts_with("  chat ") && line.contains("failed 0") && !line.contains(&format!("{provider}    –"))
    };
    demo.until("traffic", PATIENCE, |line| of_chat(line, "north"));
    let (break_it, mend_it) = commands[2].split_once("; sleep 20;").expect("a pause between breaking and mending");
    shell(break_it);
    demo.until("traffic moves away", PATIENCE, |line| of_chat(line, "east"));
    shell(mend_it);
    demo.until("traffic comes back", PATIENCE, |line| of_chat(line, "north"));
    let all = demo.interrupt();
    assert!(!all.contains("failed 1"), "{all}");
}

/// The README's own commands, as they stand there.
mod readme {
    use super::*;

    fn readme() -> String {
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README")
    }

    /// The contents of its fenced blocks of one language.
    fn blocks(language: &str) -> Vec<String> {
        let text = readme();
        text.split(&format!("```{language}\n"))
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("```")?.0.into()))
            .collect()
    }

    fn console() -> Vec<String> {
        blocks("console").concat().lines().filter_map(|line| Some(line.strip_prefix("$ ")?.to_owned())).collect()
    }

    #[test]
    fn every_command_is_known_here() {
        assert_eq!(
            console(),
            [
                "cargo run --release -- demo",
                "cargo test",
                "pointsman check pointsman.toml",
                "pointsman serve --config pointsman.toml",
                "export POINTSMAN_ADMIN_TOKEN=pma-…",
                "pointsman explain prod-chat \"Hello!\"",
                "pointsman alias set prod-chat --strategy lowest-latency",
                "pointsman key create shop --alias prod-chat --rpm 600 --budget '$50/day'",
                "pointsman usage --by key,target",
                "cargo bench --bench proxy",
            ]
        );
        let ci = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
        assert!(ci.contains("cargo test"), "CI runs the README's test command");
    }

    #[test]
    fn the_main_command_runs_the_demo() {
        let mut command = Command::new(env!("CARGO"));
        command.args(["run", "--release", "--", "demo"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        // Without what cargo told this test, so that it is the command a person types.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG") || name == "RUSTFLAGS") {
            command.env_remove(name);
        }
        // What is not optimised is built sooner, and apart from what a person has built. That it is
        // built from the command and runs is what is tested.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_LTO", "off");
        command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        command.env("CARGO_TARGET_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/target/demo"));
        let mut demo = Running::start(command);
        demo.until("the introduction", Duration::from_secs(1500), |line| line.starts_with("Traffic"));
        let commands = commands(&demo.seen);
        assert!(shell(&commands[0]).starts_with("HTTP/1.1 200"));
        // Cargo passes no signal on: end the demo itself.
        let pid = shell(&format!("ps -o pid= --ppid {} | head -1", demo.child.id()));
        let pid = pid.trim();
        assert!(pid.is_empty() || shell(&format!("cat /proc/{pid}/comm")).trim() == "pointsman");
        let target = if pid.is_empty() { demo.child.id().to_string() } else { pid.to_owned() };
        shell(&format!("kill -INT {target}"));
        demo.until("the last word", PATIENCE, |line| line.contains("nothing is left behind"));
    }

    #[test]
    fn the_configuration_is_good_and_serves() {
        let dir = tempfile::tempdir().unwrap();
        let text = blocks("toml").concat();
        let file = dir.path().join("pointsman.toml");
        std::fs::write(&file, &text).unwrap();
        let keys = [("OPENAI_API_KEY", "sk-1"), ("ANTHROPIC_API_KEY", "sk-2"), ("MY_APP_KEY", "pm-readme-0123456789")];
        let check = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["check", "pointsman.toml"])
            .current_dir(dir.path())
            .envs(keys)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&check.stdout);
        assert!(check.status.success() && said.contains("good (1 aliases, 2 providers)"), "{said}");
        assert!(!said.contains("warning"), "{said}");

        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.args(["serve", "--config", "pointsman.toml"]).current_dir(dir.path()).envs(keys);
        // The ports of the file are a person's; here others may hold them.
        command.envs([("POINTSMAN_LISTEN", "127.0.0.1:0"), ("POINTSMAN_ADMIN_LISTEN", "127.0.0.1:0")]);
        let mut serve = Running::start(command);
        let line = serve.until("it listens", PATIENCE, |line| line.starts_with("pointsman serves "));
        let base = line.split_whitespace().nth(2).unwrap().trim_end_matches(',').to_owned();
        let models = shell(&format!("curl -s {base}/models -H 'authorization: Bearer pm-readme-0123456789'"));
        assert!(models.contains("\"prod-chat\""), "{models}");

        // What the README does with the token that is shown.
        let admin = line.rsplit(' ').next().unwrap().to_owned();
        let token = serve.until("a token", PATIENCE, |line| line.starts_with("first admin token"));
        let token = token.rsplit(' ').next().unwrap().to_owned();
        let commands: Vec<String> = console().into_iter().filter(|line| line.starts_with("pointsman ")).collect();
        for command in commands.iter().filter(|line| !line.contains("pointsman.toml")) {
            let command = command.replacen("pointsman", env!("CARGO_BIN_EXE_pointsman"), 1);
            let done = Command::new("sh")
                .args(["-c", &command])
                .envs([("POINTSMAN_ADMIN", &admin), ("POINTSMAN_ADMIN_TOKEN", &token)])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&done.stderr));
        }
    }

    #[test]
    fn every_link_leads_somewhere() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = readme();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let path = link.split('#').next().unwrap();
            assert!(link.starts_with("http") || root.join(path).exists(), "{link}");
        }
    }
}
