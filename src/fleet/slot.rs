//! On which node of a cluster does a key live? One of 16,384 slots, by a checksum of the key
//! or of the part of it in braces, as Redis counts it.

use redis::{Arg, Cmd};

/// How many slots a cluster has.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of a key.
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

/// What decides about the slot: what stands in the first braces, unless that is nothing.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    match key[open + 1..].iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(length) => &key[open + 1..][..length],
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc: u16, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
        crc
    })
}

/// The slot of a command's first key; `None` if it has none.
pub(super) fn slot_of_command(command: &Cmd) -> Option<u16> {
    let args: Vec<&[u8]> = command.args_iter().map(bytes).collect();
    let name = args.first()?.to_ascii_uppercase();
    let key = match name.as_slice() {
        // The number of keys stands before the first.
        b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => {
            if *args.get(2)? == b"0" {
                None
            } else {
                args.get(3)
            }
        }
        b"XREAD" | b"XREADGROUP" => {
            let streams = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"STREAMS"))?;
            args.get(streams + 1)
        }
        b"OBJECT" | b"MEMORY" | b"XINFO" | b"XGROUP" | b"BITOP" => args.get(2),
        b"AUTH" | b"CLIENT" | b"CLUSTER" | b"CONFIG" | b"DBSIZE" | b"HELLO" | b"INFO" | b"KEYS" | b"PING"
        | b"PUBLISH" | b"PUBSUB" | b"ROLE" | b"SCAN" | b"SCRIPT" | b"TIME" | b"WAIT" => None,
        _ => args.get(1),
    };
    key.map(|key| slot_of(key))
}

fn bytes(arg: Arg<&[u8]>) -> &[u8] {
    match arg {
        Arg::Simple(bytes) => bytes,
        _ => b"0",
    }
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As `CLUSTER KEYSLOT` says.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"somekey"), 11_058);
        assert_eq!(slot_of(b"foo{hash_tag}"), 2_515);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), 8_363);
        assert_eq!(slot_of(b"foo{{bar}}zap"), 4_015);
        assert_eq!(slot_of(b"foo{bar}{zap}"), 5_061);
    }

    #[test]
    fn a_command_goes_where_its_first_key_is() {
        let foo = Some(slot_of(b"foo"));
        assert_eq!(slot_of_command(cmd("GET").arg("foo")), foo);
        assert_eq!(slot_of_command(cmd("evalsha").arg("abc").arg(1).arg("foo").arg("x")), foo);
        assert_eq!(slot_of_command(cmd("EVAL").arg("return 1").arg(0)), None);
        assert_eq!(slot_of_command(cmd("XREAD").arg("COUNT").arg(5).arg("STREAMS").arg("foo").arg(0)), foo);
        assert_eq!(slot_of_command(&cmd("TIME")), None);
        assert_eq!(slot_of_command(cmd("PUBLISH").arg("foo").arg(1)), None);
    }
}
