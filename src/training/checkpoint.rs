//! Where did a stopped run stop? So that it can go on from there.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::optimiser::Slot;

/// Writes what is known after so many steps. `run` says which run it is.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, run: &str, step: usize, slots: &[Slot]) -> Result<()> {
    let fresh = path.with_extension("fresh");
    let mut file = BufWriter::new(File::create(&fresh).with_context(|| format!("{}", fresh.display()))?);
    file.write_all(&(run.len() as u64).to_le_bytes())?;
    file.write_all(run.as_bytes())?;
    file.write_all(&(step as u64).to_le_bytes())?;
    for numbers in slots.iter().flat_map(|slot| [&slot.numbers, &slot.mean, &slot.square]) {
        for number in numbers {
            file.write_all(&number.to_le_bytes())?;
        }
    }
    file.into_inner()?.sync_all()?;
    // Whoever is stopped now still has the one before.
    fs::rename(&fresh, path).with_context(|| format!("{}", path.display()))
}

/// Goes on from what was written, if it was by the same run; says after how many steps that was.
///
/// # Errors
/// If the file is there but cannot be read whole.
pub fn read(path: &Path, run: &str, slots: &mut [Slot]) -> Result<Option<usize>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut file = BufReader::new(File::open(path)?);
    let length = number(&mut file)?;
    ensure!(length < 1 << 16, "{} is no checkpoint", path.display());
    let mut found = vec![0; length as usize];
    file.read_exact(&mut found)?;
    if found != run.as_bytes() {
        return Ok(None);
    }
    let step = number(&mut file)? as usize;
    for numbers in slots.iter_mut().flat_map(|slot| [&mut slot.numbers, &mut slot.mean, &mut slot.square]) {
        let mut bytes = vec![0; numbers.len() * 4];
        file.read_exact(&mut bytes)?;
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = f32::from_le_bytes(*bytes);
        }
    }
    Ok(Some(step))
}

fn number(file: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_it_stopped_and_another_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strong.checkpoint");
        let mut slots = [Slot::new(vec![1.0, 2.0], 1.0, 0.0)];
        assert_eq!(read(&path, "a", &mut slots).unwrap(), None);
        slots[0].mean = vec![0.5, -0.5];
        write(&path, "a", 7, &slots).unwrap();
        let mut fresh = [Slot::new(vec![0.0, 0.0], 1.0, 0.0)];
        assert_eq!(read(&path, "b", &mut fresh).unwrap(), None);
        assert_eq!(fresh[0].numbers, [0.0, 0.0]);
        assert_eq!(read(&path, "a", &mut fresh).unwrap(), Some(7));
        assert_eq!((&fresh[0].numbers, &fresh[0].mean), (&vec![1.0, 2.0], &vec![0.5, -0.5]));
    }
}
