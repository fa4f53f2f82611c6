//! No bytes of a client make a decoder panic, and what decodes can be encoded or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::domain::provider::{OpenAiQuirks, OutputLimitField};
use pointsman::wire::meta::EncodeFor;
use pointsman::wire::{anthropic, gemini, openai, responses};

fuzz_target!(|body: &[u8]| {
    let _ = openai::completions::peek(body);
    let _ = openai::embeddings::peek(body);
    let _ = openai::embeddings::decode_embeddings(body);
    let _ = openai::passthrough::peek_model(body);
    let _ = anthropic::count_tokens::peek(body);
    let _ = anthropic::strip_foreign_seals(body);
    let _ = responses::strip_foreign_seals(body);
    let _ = responses::echo(body);
    for peek in [openai::peek(body), anthropic::peek(body), responses::peek(body)].into_iter().flatten() {
        assert!(serde_json::from_slice::<String>(&body[peek.model_span]).is_ok());
    }
    let quirks = OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxTokens };
    for drop_unsupported in [false, true] {
        let to = EncodeFor { model: "m", max_output_tokens: Some(100), quirks, drop_unsupported };
        for request in [openai::decode_request(body), anthropic::decode_request(body), responses::decode_request(body)]
            .into_iter()
            .flatten()
        {
            for encoded in [
                openai::encode_request(&request, &to),
                anthropic::encode_request(&request, &to),
                gemini::encode_request(&request, &to),
            ]
            .into_iter()
            .flatten()
            {
                assert!(serde_json::from_slice::<serde_json::Value>(&encoded).is_ok());
            }
        }
    }
});
