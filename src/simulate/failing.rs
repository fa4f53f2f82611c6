//! How does a call fail? Each fault turned into what travels: a status, a broken body, a script
//! cut short.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::answer::Ask;
use super::call::{Call, content_type, wait_whole};
use super::engine::Draws;
use super::fault::{ErrorBody, FaultKind};
use super::playback::{Beat, End, Frame, Pace, Reply, Script};
use super::protocol;
use super::refusal::{Reason, Refusal};
use super::servers::Busy;
use super::words::words;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n\
                    <body><center><h1>502 Bad Gateway</h1></center><hr><center>balancer</center></body></html>\n";

/// The name under which a fault is counted; refusals are counted by their status.
pub(super) fn outcome(kind: &FaultKind) -> Cow<'static, str> {
    match kind {
        FaultKind::Status { code, .. } => format!("status {code}").into(),
        FaultKind::Hang => "hang".into(),
        FaultKind::HangAfterHeaders => "hang_after_headers".into(),
        FaultKind::Reset => "reset".into(),
        FaultKind::Cut { .. } => "cut".into(),
        FaultKind::Stall { .. } => "stall".into(),
        FaultKind::ErrorEvent => "error_event".into(),
        FaultKind::RoleThenError => "role_then_error".into(),
        FaultKind::ErrorAfter { .. } => "error_after".into(),
        FaultKind::Empty => "empty".into(),
        FaultKind::EmptyAnswer => "empty_answer".into(),
        FaultKind::Garbage => "garbage".into(),
        FaultKind::InvalidJson => "invalid_json".into(),
        FaultKind::SlowHeaders { .. } => "slow_headers".into(),
        FaultKind::NotSse => "not_sse".into(),
        FaultKind::TruncatedBody => "truncated_body".into(),
        FaultKind::RefuseContext => "refuse_context".into(),
        FaultKind::ContentPolicy => "content_policy".into(),
        FaultKind::Endless => "endless".into(),
        FaultKind::WrongContentType => "wrong_content_type".into(),
        FaultKind::GiganticEvent { .. } => "gigantic_event".into(),
    }
}

/// Answers the faults that do not depend on what was asked; hands the call back for the others.
pub(super) fn without_reading<'a>(call: Call<'a>, kind: &FaultKind) -> Result<Response<Reply>, Box<Call<'a>>> {
    Ok(match kind {
        FaultKind::Status { code, retry_after, error, body } => {
            let mut refusal = Refusal::of_status(*code);
            refusal.retry_after = *retry_after;
            refusal.code = error.clone().map(Cow::Owned);
            let mut response = call.refuse(&refusal);
            let (content_type, bytes) = match body {
                ErrorBody::Native => return Ok(response),
                ErrorBody::Html => ("text/html", Bytes::from_static(PAGE.as_bytes())),
                ErrorBody::Text => ("text/plain", Bytes::from_static(b"upstream connect error")),
                ErrorBody::Empty => ("text/plain", Bytes::new()),
            };
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            *response.body_mut() = Reply::whole(bytes);
            response
        }
        FaultKind::Garbage => call.whole("text/html", PAGE),
        FaultKind::Empty => call.whole("application/json", Bytes::new()),
        FaultKind::RefuseContext => {
            let message = protocol::context_problem(call.engine.protocol, 1_000_001, 0, 1_000_000);
            let mut response = call.refuse(&Refusal { message, ..Refusal::new(Reason::Context) });
            response.headers_mut().remove(header::RETRY_AFTER);
            response
        }
        _ => return Err(Box::new(call)),
    })
}

/// Whether the fault shows only in the answer of a call that was understood and admitted.
pub(super) fn after_reading(kind: &FaultKind) -> bool {
    !matches!(kind, FaultKind::SlowHeaders { .. })
}

impl Call<'_> {
    /// Answers a call with what the fault leaves of an answer.
    pub async fn fail(
        self,
        ask: &Ask,
        kind: &FaultKind,
        first: Duration,
        mut draws: Draws,
        busy: Option<Busy>,
    ) -> Response<Reply> {
        let endpoint = self.route.endpoint;
        let error = Refusal::new(Reason::Overloaded);
        if *kind == FaultKind::ContentPolicy {
            // Gemini answers 200 without candidates; the others refuse.
            let blocked =
                super::gemini::generate::blocked(self.engine.protocol, ask, &self.meta(ask.prompt_tokens(), &[]));
            let Some(blocked) = blocked else {
                return self.refuse(&Refusal::new(Reason::Policy));
            };
            if !ask.stream {
                return self.whole("application/json", blocked.to_string());
            }
            let mut script = Script::new(endpoint.framing(ask));
            script.event(Beat::Head, None, &blocked);
            let pace = Pace { first, token: self.behaviour.token_ms, rng: draws.rng };
            return self.play(content_type(endpoint.framing(ask)), script.frames.into(), End::Proper, pace, busy);
        }
        let author = self.author(draws.length);
        let mut answers: Vec<_> = (0..ask.count.max(1)).map(|index| author.answer(ask, index)).collect();
        match kind {
            FaultKind::EmptyAnswer => answers.clear(),
            FaultKind::GiganticEvent { bytes } => {
                if let Some(answer) = answers.first_mut() {
                    let at = answer.text.len().min(1);
                    answer.text.insert(at, "x".repeat(*bytes));
                }
            }
            _ => {}
        }
        let meta = self.meta(ask.prompt_tokens(), &answers);
        let tokens = meta.tally.output;
        let token = self.behaviour.token_ms;
        if !ask.stream || *kind == FaultKind::NotSse {
            let whole = endpoint.write(ask, &answers, &meta).to_string();
            let refused = protocol::refuse(self.engine.protocol, &error, self.serial);
            wait_whole(first, token, tokens, &mut draws).await;
            self.flight.tokens(tokens);
            let pace = Pace { first: Duration::ZERO, token, rng: draws.rng };
            return self.fail_whole(kind, whole, refused.body, pace, busy);
        }
        let mut script = endpoint.stream(ask, &answers, &meta);
        let mut end = End::Proper;
        match kind {
            FaultKind::HangAfterHeaders => {
                script.frames.clear();
                end = End::Silence;
            }
            FaultKind::Cut { after_tokens, half_event } => {
                let left_out = script.keep_tokens(*after_tokens as usize);
                if let Some(frame) = left_out.filter(|_| *half_event) {
                    let half = frame.bytes.slice(..frame.bytes.len() / 2);
                    script.frames.push(Frame { bytes: half, beat: frame.beat });
                }
                end = End::Cut;
            }
            FaultKind::Stall { after_tokens } => {
                script.keep_tokens(*after_tokens as usize);
                end = End::Silence;
            }
            FaultKind::ErrorEvent => {
                script.frames.clear();
                endpoint.error_event(&mut script, &error);
            }
            FaultKind::RoleThenError => {
                script.keep_head();
                endpoint.error_event(&mut script, &error);
            }
            FaultKind::ErrorAfter { after_tokens } => {
                script.keep_tokens(*after_tokens as usize);
                endpoint.error_event(&mut script, &error);
            }
            FaultKind::InvalidJson => {
                script.keep_head();
                script.raw(Beat::Token, b"data: {\"choices\":[{\"delta\":{\"con\n\n");
            }
            FaultKind::TruncatedBody => {
                script.keep_tokens(1);
                end = End::Cut;
            }
            FaultKind::Endless => {
                let last = script.after_last_token();
                script.frames.truncate(last);
                end = End::Repeat(last.saturating_sub(1));
            }
            _ => {}
        }
        let label =
            if *kind == FaultKind::WrongContentType { "text/plain" } else { content_type(endpoint.framing(ask)) };
        let pace = Pace { first, token, rng: draws.rng };
        let mut response = self.play(label, script.frames.into(), end, pace, busy);
        if *kind == FaultKind::TruncatedBody {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000000"));
        }
        response
    }

    fn fail_whole(
        self,
        kind: &FaultKind,
        whole: String,
        error: Bytes,
        pace: Pace,
        busy: Option<Busy>,
    ) -> Response<Reply> {
        const JSON: &str = "application/json";
        let length = whole.len();
        let half = || {
            // Bytes need no boundary between letters.
            let bytes = Bytes::copy_from_slice(&whole.as_bytes()[..length / 2]);
            vec![Frame { bytes, beat: Beat::Head }]
        };
        match kind {
            FaultKind::HangAfterHeaders => self.play(JSON, Vec::new().into(), End::Silence, pace, busy),
            FaultKind::Stall { .. } => self.play(JSON, half().into(), End::Silence, pace, busy),
            FaultKind::Cut { .. } => self.play(JSON, half().into(), End::Cut, pace, busy),
            FaultKind::TruncatedBody => {
                let mut response = self.play(JSON, half().into(), End::Cut, pace, busy);
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                response
            }
            FaultKind::Endless => {
                let filler = words(1, 64).concat().into();
                let mut frames = half();
                frames.push(Frame { bytes: filler, beat: Beat::Token });
                self.play(JSON, frames.into(), End::Repeat(1), pace, busy)
            }
            FaultKind::InvalidJson => self.whole(JSON, Bytes::copy_from_slice(&whole.as_bytes()[..length / 2])),
            FaultKind::ErrorEvent | FaultKind::RoleThenError | FaultKind::ErrorAfter { .. } => self.whole(JSON, error),
            FaultKind::WrongContentType => self.whole("text/plain", whole),
            _ => self.whole(JSON, whole),
        }
    }
}

/// The status of a refusal that carries none of its own.
pub(super) fn status(refusal: &Refusal, usual: u16) -> StatusCode {
    StatusCode::from_u16(refusal.status.unwrap_or(usual)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
