//! No body makes the reader of conversations panic, and none yields more than its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::domain::conversation::Passage;
use pointsman::wire::Dialect;
use pointsman::wire::conversation::{Turns, of_chat, of_completion};

fuzz_target!(|body: &[u8]| {
    let mut read = vec![of_completion(body)];
    for dialect in [Dialect::ChatCompletions, Dialect::Messages, Dialect::Responses] {
        read.extend([Turns::First, Turns::Last].map(|turns| of_chat(dialect, body, turns)));
    }
    for conversation in read.into_iter().flatten() {
        for passage in [&conversation.system, &conversation.earlier, &conversation.answer, &conversation.prompt] {
            assert!(passage.head.len() <= Passage::END && passage.tail.len() <= Passage::END);
        }
    }
});
