//! Figures: percentiles, memory, disk, and the lines that report them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Number, Value, json};

/// Prints measurements, one JSON line each.
pub(crate) struct Report {
    pub(crate) count: usize,
}

impl Report {
    /// Prints one measurement.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn line(&self, measure: &str, value: f64, unit: &str) -> Result<()> {
        let value = Number::from_f64(rounded(value)).map_or(Value::Null, Value::Number);
        let line = json!({ "peer": "caseload", "measure": measure, "n": self.count, "value": value, "unit": unit });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .context("print a measurement")
    }
}

/// Four decimals: a tenth of a microsecond in a figure of milliseconds.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The value that `percent` of the values do not exceed.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The most memory that a process has held, in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn peak_memory(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("read the memory of a process")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("the kernel says no peak")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse().context("read a peak")?;
    Ok(f64::from(kib) / 1024.0)
}

/// What a folder takes on the disk, in MiB. A file that is being removed just now does not count.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn disk(folder: &Path) -> Result<f64> {
    let mut blocks = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry.with_context(|| format!("read {}", folder.display()))?;
            let Ok(about) = entry.metadata() else { continue };
            blocks += about.blocks();
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "exact far beyond any disk")]
    Ok(blocks as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&values, percent)),
            [500.0, 990.0, 1000.0]
        );
        assert_eq!(percentile(&[7.0], 50), 7.0);
    }

    #[test]
    fn memory_and_disk_are_counted_in_mebibytes() {
        assert!(peak_memory(std::process::id()).unwrap() > 1.0);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/file"), vec![7; 3 << 20]).unwrap();
        assert!((2.9..3.2).contains(&disk(folder.path()).unwrap()));
    }
}
