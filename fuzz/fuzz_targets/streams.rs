//! The relay in every combination: no panic, nothing out before content has come in, and
//! only whole events out.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pointsman::domain::provider::Protocol;
use pointsman::wire::Dialect;
use pointsman::wire::meta::ReplyMeta;
use pointsman::wire::relay::Relay;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let meta = ReplyMeta { id: "1".into(), created: 1, model: "m".into(), stream_usage: true };
    let dialects = [Dialect::ChatCompletions, Dialect::Messages, Dialect::Responses];
    let mut relays: Vec<Relay> = dialects.iter().map(|dialect| Relay::native(*dialect, 1 << 16, true)).collect();
    relays.push(Relay::completions(1 << 16, false));
    for protocol in [Protocol::OpenAi, Protocol::Anthropic, Protocol::Gemini] {
        relays
            .extend(dialects.iter().map(|dialect| Relay::translated(protocol, *dialect, meta.clone(), None, 1 << 16)));
    }
    for mut relay in relays {
        let failed = bytes.chunks(usize::from(size) + 1).any(|piece| {
            let failed = relay.push(Bytes::copy_from_slice(piece)).is_err();
            let out = relay.take_out();
            assert!(relay.committed() || out.is_none());
            failed
        });
        if !failed {
            let _ = relay.eof();
        }
    }
});
