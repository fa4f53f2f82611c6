//! What can go wrong at a simulated provider? The catalogue of faults, and the draw that decides
//! which one a call meets.

use rand::{Rng, RngExt};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// One thing that goes wrong for a share of the calls.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fault {
    /// The share of all calls that meet it, from 0 to 1.
    pub share: f64,
    /// How long the call is held before it happens, in milliseconds.
    pub delay_ms: f64,
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What a failing call meets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// An error status with a body in the provider's own form.
    Status {
        /// The HTTP status, 400 to 599.
        code: u16,
        /// Seconds to wait, told the way the provider tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<f64>,
        /// The machine-readable code or type in the body instead of the usual one for the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What the body looks like.
        #[serde(default)]
        body: ErrorBody,
    },
    /// The request is read and never answered.
    Hang,
    /// The headers of a success arrive and nothing after them.
    HangAfterHeaders,
    /// The connection is reset (RST) as soon as the request is read.
    Reset,
    /// The connection closes in the middle of the answer.
    Cut {
        /// Tokens sent before that.
        after_tokens: u32,
        /// Half of the following event is sent too.
        #[serde(default)]
        half_event: bool,
    },
    /// The answer falls silent after some tokens, with the connection open.
    Stall {
        /// Tokens sent before that.
        after_tokens: u32,
    },
    /// Status 200, then an error event before any content.
    ErrorEvent,
    /// Status 200, the opening events without content, then an error event.
    RoleThenError,
    /// Status 200, some tokens, then an error event.
    ErrorAfter {
        /// Tokens sent before it.
        after_tokens: u32,
    },
    /// Status 200 and no body at all.
    Empty,
    /// Status 200 and a well-formed answer with nothing in it.
    EmptyAnswer,
    /// Status 200 and a page of HTML.
    Garbage,
    /// Status 200 and JSON that breaks off.
    InvalidJson,
    /// The headers come late; all else is well.
    SlowHeaders {
        /// How late, in milliseconds.
        ms: f64,
    },
    /// A stream was asked for and one JSON document comes.
    NotSse,
    /// `content-length` promises more than is sent.
    TruncatedBody,
    /// The prompt is said to exceed the context window.
    RefuseContext,
    /// The prompt is refused on grounds of policy.
    ContentPolicy,
    /// The answer never ends.
    Endless,
    /// A good answer labelled `text/plain`.
    WrongContentType,
    /// The first token is followed by one event of this size.
    GiganticEvent {
        /// Bytes of text in it.
        bytes: usize,
    },
}

/// What the body of an error status looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBody {
    /// As the provider's API writes it.
    #[default]
    Native,
    /// A page of HTML, as from a load balancer in front of it.
    Html,
    /// Plain text.
    Text,
    /// Nothing.
    Empty,
}

/// An event larger than this is not worth simulating.
const GIGANTIC_MAX: usize = 256 << 20;

impl Fault {
    /// This for a share of the calls.
    pub fn new(share: f64, kind: FaultKind) -> Self {
        Self { share, delay_ms: 0.0, kind }
    }

    /// This status for a share of the calls.
    pub fn status(share: f64, code: u16) -> Self {
        let kind = FaultKind::Status { code, retry_after: None, error: None, body: ErrorBody::Native };
        Self::new(share, kind)
    }

    pub(super) fn problem(&self) -> Option<String> {
        let times = match self.kind {
            FaultKind::SlowHeaders { ms } => [self.delay_ms, ms],
            FaultKind::Status { retry_after: Some(s), .. } => [self.delay_ms, s],
            _ => [self.delay_ms, 0.0],
        };
        if times.iter().any(|t| !t.is_finite() || *t < 0.0) {
            return Some("times are finite and not negative".to_owned());
        }
        match self.kind {
            FaultKind::Status { code, .. } if !(400..=599).contains(&code) => {
                Some("code: expected an error status, 400 to 599".to_owned())
            }
            FaultKind::GiganticEvent { bytes } if bytes > GIGANTIC_MAX => {
                Some(format!("bytes: expected at most {GIGANTIC_MAX}"))
            }
            _ => None,
        }
    }
}

/// One draw decides for all faults, so shares are exact shares of all calls.
pub(super) fn draw<'a>(faults: &'a [Fault], rng: &mut impl Rng) -> Option<&'a Fault> {
    let mut at = rng.random::<f64>();
    faults.iter().find(|fault| {
        at -= fault.share;
        at < 0.0
    })
}

impl<'de> Deserialize<'de> for Fault {
    /// `{share = 0.1, kind = "cut", after_tokens = 3}`: the kind's own fields stand beside it. Serde's
    /// `flatten` would let unknown ones pass, so the common fields are taken out by hand.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut fields = Map::<String, Value>::deserialize(deserializer)?;
        let mut number = |name: &'static str| match fields.remove(name) {
            None => Ok(None),
            Some(value) => {
                value.as_f64().map(Some).ok_or_else(|| D::Error::custom(format!("{name}: expected a number")))
            }
        };
        let share = number("share")?.unwrap_or(1.0);
        let delay_ms = number("delay_ms")?.unwrap_or(0.0);
        let kind: FaultKind = serde_json::from_value(Value::Object(fields.clone())).map_err(D::Error::custom)?;
        // Serde does not deny unknown fields beside a kind that has none: what the kind would
        // not write is not its own.
        let own = serde_json::to_value(&kind).map_err(D::Error::custom)?;
        if let Some(name) = fields.iter().find(|(name, value)| !value.is_null() && own.get(name.as_str()).is_none()) {
            return Err(D::Error::custom(format!("unknown field `{}` of fault {}", name.0, own["kind"])));
        }
        Ok(Self { share, delay_ms, kind })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_of_a_kind_stand_beside_it_and_unknown_ones_are_refused() {
        let fault: Fault =
            serde_json::from_value(json!({"share": 0.25, "kind": "cut", "after_tokens": 3, "half_event": true}))
                .unwrap();
        assert_eq!(fault, Fault::new(0.25, FaultKind::Cut { after_tokens: 3, half_event: true }));
        assert_eq!(serde_json::from_value::<Fault>(serde_json::to_value(&fault).unwrap()).unwrap(), fault);
        assert!(serde_json::from_value::<Fault>(json!({"share": 1, "kind": "hang", "after_tokens": 3})).is_err());
        assert!(serde_json::from_value::<Fault>(json!({"share": 1, "kind": "nonsense"})).is_err());
    }

    #[test]
    fn each_fault_meets_its_share_of_the_calls() {
        let faults = [Fault::status(0.2, 500), Fault::new(0.3, FaultKind::Hang)];
        let mut rng = StdRng::seed_from_u64(1);
        let mut met = [0, 0, 0];
        for _ in 0..10_000 {
            match draw(&faults, &mut rng).map(|fault| &fault.kind) {
                Some(FaultKind::Status { .. }) => met[0] += 1,
                Some(_) => met[1] += 1,
                None => met[2] += 1,
            }
        }
        assert!((1_850..2_150).contains(&met[0]), "{met:?}");
        assert!((2_850..3_150).contains(&met[1]), "{met:?}");
        assert!((4_850..5_150).contains(&met[2]), "{met:?}");
    }

    #[test]
    fn a_share_of_one_always_happens() {
        let mut rng = StdRng::seed_from_u64(1);
        assert!((0..1_000).all(|_| draw(&[Fault::status(1.0, 500)], &mut rng).is_some()));
    }
}
