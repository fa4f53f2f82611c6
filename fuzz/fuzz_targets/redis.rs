//! Whatever a server says that we took for Redis, a node of a cluster, or a sentinel: it is read
//! or refused, and every slot's owner is one of those that the table names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::fleet::heard;

fuzz_target!(|bytes: &[u8]| {
    let slots = [0, 1, 2, 99, 100, 8191, 8192, 16_383, 16_384, u16::MAX];
    let Some(heard) = heard(bytes, &slots) else { return };
    if let Some(owners) = heard.owners {
        assert!(heard.nodes > 0 || owners.iter().all(Option::is_none));
    }
});
