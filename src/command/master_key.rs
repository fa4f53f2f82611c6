//! The master keys that seal providers' keys: a new one, and what is sealed sealed anew.

use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value as Json};

use super::Task;
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::words::many;
use crate::api::token::Resealed;
use crate::config::MASTER_KEY_VARIABLE;
use crate::secrets::MasterKey;

/// Seal what an older master key has sealed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Reseal {}

impl Task for Reseal {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let request = Request::post(&["secrets", "reseal"], Json::Object(Map::new()));
        let answer: Answer<Resealed> = gateway.ask(&request).await?;
        let count = usize::try_from(answer.read.resealed).unwrap_or(usize::MAX);
        Ok(screen.show(&answer.raw, || format!("{} sealed anew\n", many(count, "secret", "secrets"))))
    }
}

/// A new master key. It is made here and shown to nobody else.
pub fn made() -> Said {
    let key = MasterKey::generate(&mut rand::rng());
    let text = format!("{}\n", key.to_text().expose_secret());
    let remark = format!(
        "its id is {}; put it into {MASTER_KEY_VARIABLE} of the gateway, before those that it takes the place of",
        key.id()
    );
    Said { text, ..Said::default() }.remark(remark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer};
    use crate::secrets::MasterKeys;

    #[test]
    fn a_master_key_reads_back_and_is_never_the_same() {
        let (one, other) = (made(), made());
        assert!(one.text.parse::<MasterKeys>().is_ok() && one.text != other.text);
        assert!(!one.remarks[0].contains(one.text.trim()), "it stands on standard output alone");
    }

    #[tokio::test]
    async fn what_was_sealed_anew_is_counted() {
        let stand_in = StandIn::start(|_| answer(200, Resealed { resealed: 3 })).await;
        assert_eq!(Reseal {}.run(&stand_in.gateway(), &PIPE).await.unwrap().text, "3 secrets sealed anew\n");
        assert_eq!(stand_in.lines(), ["POST /admin/v1/secrets/reseal"]);
    }
}
