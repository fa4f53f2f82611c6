//! Which of a process's pages can be had from their files again.

use std::ops::Range;

/// Addresses of what is mapped from files for reading, and of which no page was ever written: the code
/// and constants of the program and its libraries. `smaps` is what `/proc/self/smaps` says. What the
/// dynamic linker has put addresses into is not among them, though it may be read only by now.
pub fn clean(smaps: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        if let Some(header) = header(line) {
            mapping = Some(header);
        } else if let Some(kib) = line.strip_prefix("Anonymous:")
            && let Some((range, true)) = mapping.take()
            && kib.trim() == "0 kB"
        {
            ranges.push(range);
        }
    }
    ranges
}

/// The addresses of a mapping, and whether it is of a file, and for reading.
fn header(line: &str) -> Option<(Range<usize>, bool)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    let range = address(start)?..address(end)?;
    let may = words.next()?;
    let file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((range, file && matches!(may, "r--p" | "r-xp")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_constants_are_clean_and_what_was_written_to_is_not() {
        let smaps = "\
55d0c8a00000-55d0cb0f8000 r--p 00000000 fe:00 1234                       /opt/a program
Size:              39908 kB
Rss:                2456 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
55d0cb0f8000-55d0cc6d0000 r-xp 026f8000 fe:00 1234                       /opt/a program
Anonymous:             0 kB
55d0cc6d0000-55d0cc778000 r--p 03ccf000 fe:00 1234                       /opt/a program
Anonymous:           672 kB
55d0cc778000-55d0cc780000 rw-p 03d77000 fe:00 1234                       /opt/a program
Anonymous:             0 kB
55d0cc780000-55d0cc790000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffd1a3c5000-7ffd1a3c7000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
7ffd1a3d0000-7ffd1a3d1000 r--s 00000000 00:00 9                          /opt/shared
Anonymous:             0 kB
";
        assert_eq!(clean(smaps), [0x55d0_c8a0_0000..0x55d0_cb0f_8000, 0x55d0_cb0f_8000..0x55d0_cc6d_0000]);
    }

    #[test]
    fn what_is_no_list_of_mappings_has_none() {
        for smaps in ["", "Anonymous: 0 kB", "10-2z r--p 0 0 0 /x\nAnonymous: 0 kB", "10-20\nAnonymous: 0 kB"] {
            assert!(clean(smaps).is_empty(), "{smaps}");
        }
    }

    #[test]
    fn this_process_has_clean_pages() {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let here = this_process_has_clean_pages as fn() as usize;
        assert!(clean(&smaps).iter().any(|range| range.contains(&here)), "{smaps}");
    }
}
