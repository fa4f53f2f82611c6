//! How did a command end? One number for each kind of end, so that a script can tell a name
//! that nobody has from a gateway that is down. `docs/command-line.md` lists them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// As it should.
    Done,
    /// It was refused; or the answer to the question is no.
    Refused,
    /// It could not be asked: the arguments are wrong, or nobody answers.
    NotAsked,
    /// There is no such thing.
    NoSuchThing,
    /// Somebody else was faster.
    Conflict,
    /// There is no admin token, or none that is known.
    NoToken,
    /// The gateway failed.
    GatewayFailed,
}

impl Exit {
    /// All, by their numbers.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Refused,
        Self::NotAsked,
        Self::NoSuchThing,
        Self::Conflict,
        Self::NoToken,
        Self::GatewayFailed,
    ];

    /// Its number; clap ends with 2 for wrong arguments, and so do we.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::NotAsked => 2,
            Self::NoSuchThing => 3,
            Self::Conflict => 4,
            Self::NoToken => 5,
            Self::GatewayFailed => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_its_own_and_documented() {
        let documented = include_str!("../../docs/command-line.md");
        for (position, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit.number()), position);
            assert!(documented.contains(&format!("\n| {position} | ")), "{exit:?} is not documented");
        }
    }
}
