//! What runs inside Redis, in one step and by Redis's clock? Scripts in Lua, each in a file of
//! its own under `lua/`, which opens with its KEYS, its ARGV and what it returns; here is one
//! wrapper for each.
//!
//! A script reads the time with `TIME`, never from its arguments: replicas' clocks differ.
//! All keys of a call live in one slot.

use std::sync::OnceLock;
use std::time::Duration;

use redis::{Cmd, ToRedisArgs, cmd};

use super::error::LinkError;
use super::link::Link;

/// The text of a script.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    /// A script; put it into a `static`, so that its digest is made once.
    pub const fn new(text: &'static str) -> Self {
        Self { text, digest: OnceLock::new() }
    }

    /// A call with these keys.
    pub fn on<'s>(&'s self, keys: &[&str]) -> ScriptCall<'s> {
        ScriptCall { script: self, keys: keys.iter().map(|key| (*key).to_owned()).collect(), args: Vec::new() }
    }

    /// SHA-1 of the text, by which a server knows it again.
    fn digest(&self) -> &str {
        self.digest.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}

/// A call of a script, for [`Link::eval`].
#[derive(Clone, Debug)]
pub struct ScriptCall<'s> {
    script: &'s Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl ScriptCall<'_> {
    /// With one argument more, or with several if it is a list.
    #[must_use]
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.args.extend(arg.to_redis_args());
        self
    }

    /// The command that names the script by its digest. Within a pipeline nobody sends the
    /// text if the server does not know it: the answer is an error then.
    pub fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", self.script.digest())
    }

    /// The command that brings the script along.
    pub fn by_text(&self) -> Cmd {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}

static LEASE_TAKE: Script = Script::new(include_str!("lua/lease_take.lua"));
static LEASE_RELEASE: Script = Script::new(include_str!("lua/lease_release.lua"));

/// Takes a lease, or renews one's own. Returns whether `holder` has it now, for `time`.
///
/// # Errors
/// See [`LinkError`].
pub async fn take_lease(link: &Link, key: &str, holder: &str, time: Duration) -> Result<bool, LinkError> {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    link.eval(&LEASE_TAKE.on(&[key]).arg(holder).arg(ms)).await
}

/// Gives a lease back, if `holder` has it. Returns whether it had.
///
/// # Errors
/// See [`LinkError`].
pub async fn release_lease(link: &Link, key: &str, holder: &str) -> Result<bool, LinkError> {
    link.eval(&LEASE_RELEASE.on(&[key]).arg(holder)).await
}
