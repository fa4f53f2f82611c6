//! Tool calls put together from the pieces that servers send.
//!
//! Servers differ: most number the calls, some send whole calls without a number, some
//! give every call the number 0 and tell them apart by id, some repeat id and name in
//! every piece, some leave out the ids.

use crate::wire::chat::Seal;
use crate::wire::error::Malformed;
use crate::wire::event::Event;
use crate::wire::openai::answer::FunctionIn;

/// A piece of a call as it came.
pub(super) struct Piece {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: FunctionIn,
    pub(super) seal: Option<Seal>,
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    announced: u32,
    /// What the ids begin with that have to be made up.
    id_stem: String,
}

/// A call as far as it has come.
#[derive(Debug, Default)]
struct Call {
    /// The index on the wire, where the server gives one.
    wire_index: Option<u64>,
    /// What the server called it; empty where it gave no id.
    wire_id: String,
    /// Position among the calls of the answer, once the name is known and it was told.
    announced: Option<u32>,
    /// Arguments that came before the name.
    early: String,
    /// A seal that came before the name.
    seal: Option<Seal>,
}

impl Calls {
    pub(super) fn new(id_stem: String) -> Self {
        Self { id_stem, ..Self::default() }
    }

    /// No more pieces come. Says whether there were any calls.
    ///
    /// # Errors
    /// If one of them never got a name.
    pub(super) fn finish(&self) -> Result<bool, Malformed> {
        if self.calls.iter().any(|call| call.announced.is_none()) {
            return Err(Malformed("a tool call without a name".to_owned()));
        }
        Ok(!self.calls.is_empty())
    }

    /// Takes in a piece and tells what it adds.
    pub(super) fn piece(&mut self, mut piece: Piece, out: &mut Vec<Event>) {
        let name = piece.function.name.take().filter(|name| !name.is_empty());
        let arguments = piece.function.arguments();
        let position = match self.position(piece.index, piece.id.as_deref(), name.is_some()) {
            Some(position) => position,
            None if name.is_none() && piece.id.is_none() && arguments.is_empty() => return,
            None => {
                let wire_id = piece.id.unwrap_or_default();
                self.calls.push(Call { wire_index: piece.index, wire_id, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[position];
        call.seal = piece.seal.or_else(|| call.seal.take());
        call.early.push_str(&arguments);
        if let (None, Some(name)) = (call.announced, name) {
            let index = self.announced;
            self.announced += 1;
            call.announced = Some(index);
            let id = match call.wire_id.as_str() {
                "" => format!("{}_{index}", self.id_stem),
                id => id.to_owned(),
            };
            out.push(Event::ToolCall { index, id, name, seal: call.seal.take() });
        }
        if let Some(index) = call.announced.filter(|_| !call.early.is_empty()) {
            out.push(Event::ToolArguments { index, json: std::mem::take(&mut call.early) });
        }
    }

    /// Which call a piece belongs to; `None` for a new one.
    fn position(&self, index: Option<u64>, id: Option<&str>, named: bool) -> Option<usize> {
        let latest = match (index, id) {
            (Some(_), _) => self.calls.iter().rposition(|call| call.wire_index == index)?,
            (None, Some(id)) => return self.calls.iter().rposition(|call| call.wire_id == id),
            (None, None) if named => return None,
            (None, None) => return self.calls.len().checked_sub(1),
        };
        let known = self.calls[latest].wire_id.as_str();
        let another = named && id.is_some_and(|id| !known.is_empty() && known != id);
        (!another).then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// What these pieces, given as they stand in a delta, come to.
    fn events(pieces: &[Value]) -> Vec<Event> {
        let mut calls = Calls::new("call_r1".into());
        let mut out = Vec::new();
        for piece in pieces {
            let function = piece.get("function").cloned().unwrap_or_default();
            let id = piece.get("id").and_then(Value::as_str).map(str::to_owned);
            let function = serde_json::from_value::<Option<FunctionIn>>(function).unwrap().unwrap_or_default();
            calls
                .piece(Piece { index: piece.get("index").and_then(Value::as_u64), id, function, seal: None }, &mut out);
        }
        assert_eq!(calls.finish(), Ok(!out.is_empty()));
        out
    }

    fn call(index: u32, id: &str, name: &str) -> Event {
        Event::ToolCall { index, id: id.into(), name: name.into(), seal: None }
    }

    fn arguments(index: u32, json: &str) -> Event {
        Event::ToolArguments { index, json: json.into() }
    }

    #[test]
    fn calls_interleave_by_index() {
        let got = events(&[
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}),
            json!({"index": 0, "function": {"arguments": "{\"x\""}}),
            json!({"index": 1, "function": {"arguments": "{}"}}),
            json!({"index": 0, "function": {"arguments": ":1}"}}),
        ]);
        let expected =
            [call(0, "a", "f"), call(1, "b", "g"), arguments(0, "{\"x\""), arguments(1, "{}"), arguments(0, ":1}")];
        assert_eq!(got, expected);
    }

    #[test]
    fn whole_calls_without_index_and_id() {
        let got = events(&[
            json!({"function": {"name": "f", "arguments": "{}"}}),
            json!({"function": {"name": "f", "arguments": {"x": 1}}}),
        ]);
        let expected =
            [call(0, "call_r1_0", "f"), arguments(0, "{}"), call(1, "call_r1_1", "f"), arguments(1, "{\"x\":1}")];
        assert_eq!(got, expected);
    }

    #[test]
    fn every_call_with_the_index_0() {
        let got = events(&[
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}),
            json!({"index": 0, "function": {"arguments": "}"}}),
            json!({"index": 0, "id": "b", "function": {"name": "f", "arguments": "{}"}}),
        ]);
        let expected = [call(0, "a", "f"), arguments(0, "{"), arguments(0, "}"), call(1, "b", "f"), arguments(1, "{}")];
        assert_eq!(got, expected);
    }

    #[test]
    fn pieces_without_index_follow_their_id_or_the_latest_call() {
        let got = events(&[
            json!({"id": "a", "function": {"name": "f", "arguments": "{"}}),
            json!({"id": "a", "function": {"name": "f", "arguments": "1"}}),
            json!({"function": {"arguments": "}"}}),
        ]);
        assert_eq!(got, [call(0, "a", "f"), arguments(0, "{"), arguments(0, "1"), arguments(0, "}")]);
    }

    #[test]
    fn arguments_wait_for_the_name() {
        let got = events(&[
            json!({"index": 0, "id": "a", "function": {"arguments": "{"}}),
            json!({"index": 0, "function": {"name": "f", "arguments": "}"}}),
        ]);
        assert_eq!(got, [call(0, "a", "f"), arguments(0, "{}")]);
    }

    #[test]
    fn empty_pieces_are_nothing() {
        assert_eq!(events(&[json!({"index": 0}), json!({"index": 0, "function": null})]), []);
    }

    proptest! {
        #[test]
        fn any_order_of_pieces_keeps_the_arguments_together(
            pieces in prop::collection::vec((0u64..3, "[a-z]{1,3}"), 0..20),
        ) {
            let mut deltas: Vec<Value> = (0..3)
                .map(|i| json!({"index": i, "id": format!("id{i}"), "function": {"name": "f", "arguments": ""}}))
                .collect();
            deltas.extend(pieces.iter().map(|(i, text)| json!({"index": i, "function": {"arguments": text}})));
            let got = events(&deltas);
            for i in 0..3u32 {
                let expected: String =
                    pieces.iter().filter(|(k, _)| *k == u64::from(i)).map(|(_, text)| text.as_str()).collect();
                let joined: String = got.iter().filter_map(|event| match event {
                    Event::ToolArguments { index, json } if *index == i => Some(json.as_str()),
                    _ => None,
                }).collect();
                prop_assert_eq!(joined, expected);
            }
        }
    }
}
