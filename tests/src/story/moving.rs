//! Appointments are moved as people move them: with the mouse, with the keyboard, by the form.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Story;
use crate::desktop::Desktop;

/// The key that is held for a move by keys.
const ALT: &str = "\u{e00a}";
const LEFT: &str = "\u{e012}";
const UP: &str = "\u{e013}";
const RIGHT: &str = "\u{e014}";

impl Story {
    /// In the week, where a column is a day.
    pub(super) fn drag_to_another_day_and_back_by_keys(&self) -> Result<()> {
        let (window, id) = (&self.therapist, &self.appointments[2]);
        window.go(&format!("/calendar/week?date={}", self.days[1]))?;
        let before = stands_at(window, id)?;
        ensure!(
            before == (self.days[1].clone(), "13:00".to_owned()),
            "it was booked there, not at {before:?}"
        );
        // The day after, except from the last column, which has none.
        let column = column_of(window, id)?;
        let (target, back) = if column < 6 {
            (column + 1, LEFT)
        } else {
            (column - 1, RIGHT)
        };
        let day = drag_to(window, id, Some(target), "13:45")?;
        ensure!(day != self.days[1], "it was dragged to another day");
        window.see("undo")?;
        window.picture("06-calendar-dragged")?;
        for (key, wanted) in [
            (UP, (day.as_str(), "13:30")),
            (UP, (day.as_str(), "13:15")),
            (UP, (day.as_str(), "13:00")),
            (back, (self.days[1].as_str(), "13:00")),
        ] {
            focus(window, id)?;
            window.press(&[ALT, key])?;
            awaits(window, id, wanted)?;
        }
        Ok(())
    }
}

/// Drags an appointment to a time and, with a column, to another one; waits until it stands there and gives the day.
pub(super) fn drag_to(window: &Desktop, id: &str, column: Option<u64>, time: &str) -> Result<String> {
    let script = "const [id, index, time] = arguments;
        const event = document.querySelector(`[data-testid=event][data-id='${id}']`);
        if (!event) return null;
        event.scrollIntoView({ block: 'center', behavior: 'instant' });
        const minutes = (clock) => clock.split(':').reduce((hours, minutes) => hours * 60 + Number(minutes), 0);
        const hour = parseFloat(getComputedStyle(event).getPropertyValue('--hour-height'));
        const box = event.getBoundingClientRect();
        const section = index === null ? event.closest('[data-column]') : document.querySelector(`[data-column='${index}']`);
        const landing = section.getBoundingClientRect();
        const y = box.top + Math.min(box.height / 2, 12);
        return [box.left + box.width / 2, y, landing.left + landing.width / 2,
            y + ((minutes(time) - minutes(event.dataset.start)) / 60) * hour]";
    let points = window.until("the appointment that is dragged", || {
        let found = window.run(script, &[json!(id), json!(column), json!(time)])?;
        serde_json::from_value::<Option<[f64; 4]>>(found).context("places are numbers")
    })?;
    let [from_x, from_y, to_x, to_y] = points;
    window.drag((from_x, from_y), (to_x, to_y))?;
    window.until(&format!("the appointment to stand at {time}"), || {
        let (day, start) = stands_at(window, id)?;
        Ok((start == time).then_some(day))
    })
}

/// Day and time at which the calendar shows an appointment.
fn stands_at(window: &Desktop, id: &str) -> Result<(String, String)> {
    let script = "const event = document.querySelector(`[data-testid=event][data-id='${arguments[0]}']`);
        return event && [event.dataset.date, event.dataset.start]";
    window.until("the appointment in the calendar", || {
        let found = window.run(script, &[json!(id)])?;
        serde_json::from_value::<Option<(String, String)>>(found).context("day and time are texts")
    })
}

fn awaits(window: &Desktop, id: &str, (day, time): (&str, &str)) -> Result<()> {
    window.until(&format!("the appointment to stand at {day} {time}"), || {
        let stands = stands_at(window, id)?;
        Ok((stands.0 == day && stands.1 == time).then_some(()))
    })
}

fn column_of(window: &Desktop, id: &str) -> Result<u64> {
    let script = "const event = document.querySelector(`[data-testid=event][data-id='${arguments[0]}']`);
        return Number(event.closest('[data-column]').dataset.column)";
    window
        .run(script, &[json!(id)])?
        .as_u64()
        .context("a column has a number")
}

/// Puts the focus on an appointment once the move before it is done: a key during a move is not taken.
fn focus(window: &Desktop, id: &str) -> Result<()> {
    let script = "if (document.querySelector('[aria-busy=true]')) return false;
        const event = document.querySelector(`[data-testid=event][data-id='${arguments[0]}']`);
        event?.focus();
        return document.activeElement === event";
    window.until("the focus on the appointment", || {
        Ok((window.run(script, &[json!(id)])? == json!(true)).then_some(()))
    })
}
