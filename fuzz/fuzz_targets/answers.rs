//! No bytes of a provider make a decoder panic; what decodes is written in every dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::wire::meta::ReplyMeta;
use pointsman::wire::{anthropic, gemini, openai, responses};

fuzz_target!(|body: &[u8]| {
    for status in [200, 400, 404, 429, 529] {
        let _ = openai::decode_error(status, body);
        let _ = anthropic::decode_error(status, body);
        let _ = gemini::decode_error(status, body);
    }
    let _ = gemini::retry_delay(body);
    let _ = gemini::blocked(body);
    let _ = gemini::decode_embeddings(body);
    let _ = gemini::decode_count_tokens(body);
    let _ = anthropic::count_tokens::decode_count(body);
    let _ = openai::inspect_answer(body);
    let _ = openai::completions::inspect_answer(body);
    let _ = openai::embeddings::inspect_answer(body);
    let _ = anthropic::inspect_answer(body);
    let _ = responses::inspect_answer(body);
    let meta = ReplyMeta { id: "1".into(), created: 1, model: "m".into(), stream_usage: true };
    for answer in [openai::decode_response(body), anthropic::decode_response(body), gemini::decode_response(body)]
        .into_iter()
        .flatten()
    {
        for written in [
            openai::encode_response(&answer, &meta),
            anthropic::encode_response(&answer, &meta),
            responses::encode_response(&answer, &meta, &responses::echo(b"{}")),
        ] {
            assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok());
        }
    }
});
