//! Any split of the bytes gives the same events.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pointsman::wire::sse::{Framer, parse};

fn events(pieces: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    let mut framer = Framer::new(1 << 20);
    let mut events = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        while let Ok(Some(frame)) = framer.next_frame() {
            let event = parse(&frame);
            if event.data.is_some() {
                events.push((event.name.to_string(), event.data().to_vec()));
            }
        }
    }
    events
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(size) + 1).collect();
    assert_eq!(events(&pieces), events(&[bytes]));
});
