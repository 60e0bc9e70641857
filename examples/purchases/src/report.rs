//! The result as text for people. Not for programs: those read the JSON.
//! Invariant: every amount is printed exactly, from whole cents.

use crate::summary::{Outcome, Run, Summary};
use std::fmt::Write;

/// Columns of the longest bar.
const BAR_WIDTH: u64 = 40;

/// The whole report.
pub(crate) fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, Outcome { summary, run }: &Outcome) -> std::fmt::Result {
    writeln!(
        out,
        "{} purchases of {} customers: {} CDs, {}",
        grouped(summary.purchases),
        grouped(summary.customers),
        grouped(summary.cds),
        dollars(summary.cents)
    )?;
    months(out, summary)?;
    weeks(out, summary)?;
    writeln!(out, "\nBest customers")?;
    for (place, row) in summary.top.iter().enumerate() {
        let (orders, cents) = (grouped(row.orders), dollars(row.cents));
        writeln!(
            out,
            "  {:>2}  {}  {cents:>12}  {orders:>4} orders",
            place + 1,
            row.customer
        )?;
    }
    writeln!(out, "\nCards")?;
    for row in &summary.levels {
        let (orders, cents) = (grouped(row.orders), dollars(row.cents));
        writeln!(out, "  {:7} {cents:>14}  {orders:>7} orders", row.level)?;
    }
    writeln!(
        out,
        "  {} purchases with their customer's level in topic enriched-purchases",
        grouped(summary.enriched_purchases)
    )?;
    this_run(out, run)
}

fn months(out: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(out, "\nRevenue by month")?;
    let most = summary.months.iter().map(|row| row.cents).max();
    let most = most.unwrap_or(0).max(1);
    for row in &summary.months {
        let bar = "█".repeat((row.cents * BAR_WIDTH).div_ceil(most) as usize);
        let (orders, cents) = (grouped(row.orders), dollars(row.cents));
        writeln!(
            out,
            "  {} {bar:<width$} {cents:>12}  {orders:>6} orders",
            row.month,
            width = BAR_WIDTH as usize
        )?;
    }
    Ok(())
}

fn weeks(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let Some(best) = summary.weeks.iter().max_by_key(|row| row.cents) else {
        return Ok(());
    };
    let (count, from, cents) = (summary.weeks.len(), &best.from, dollars(best.cents));
    writeln!(
        out,
        "  {count} weeks; the best began on {from}: {cents} by {} orders",
        grouped(best.orders)
    )
}

fn this_run(out: &mut String, run: &Run) -> std::fmt::Result {
    writeln!(out, "\nThis run, over {}", run.directory)?;
    writeln!(
        out,
        "  appended  {:>9} records in {:.2} s{}",
        grouped(run.appended_records),
        run.append_seconds,
        rate(run.appended_records, run.append_seconds, "records")
    )?;
    writeln!(
        out,
        "  processed {:>9} purchases in {:.2} s{}",
        grouped(run.processed_purchases),
        run.process_seconds,
        rate(run.processed_purchases, run.process_seconds, "purchases")
    )?;
    let workers = match run.workers {
        1 => "1 worker".to_owned(),
        number => format!("{number} workers"),
    };
    writeln!(
        out,
        "  {} records through operators{}, {} commits, {} records restored, {workers}",
        grouped(run.processed_records),
        rate(run.processed_records, run.process_seconds, "records"),
        grouped(run.commits),
        grouped(run.restored_records)
    )
}

fn rate(number: u64, seconds: f64, unit: &str) -> String {
    if number == 0 || seconds <= 0.0 {
        return String::new();
    }
    format!(" ({} {unit}/s)", grouped((number as f64 / seconds) as u64))
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `$1,234.56`.
fn dollars(cents: u64) -> String {
    format!("${}.{:02}", grouped(cents / 100), cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(dollars(250_031_563), "$2,500,315.63");
        assert_eq!(dollars(5), "$0.05");
    }
}
