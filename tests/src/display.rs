//! A virtual display, so that a scenario neither needs nor disturbs a real one.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ClientMessageEvent, ConnectionExt, EventMask, MapState};

use crate::processes::Running;
use crate::programs::installed;

/// A screen of its own for one window, which then always has the focus. It ends when this is dropped.
#[derive(Debug)]
pub struct Display {
    name: String,
    _server: Running,
}

impl Display {
    /// Starts Xvfb. It chooses a free number itself, so that two runs never meet.
    ///
    /// # Errors
    /// When Xvfb is not installed or does not start.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(installed("Xvfb")?);
        command.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1360x900x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]);
        let mut server = Running::start("Xvfb", command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let output = server.child().stdout.take().context("Xvfb's output is piped")?;
        let mut number = String::new();
        BufReader::new(output)
            .read_line(&mut number)
            .context("read the number of Xvfb's display")?;
        let number: u32 = number.trim().parse().context("Xvfb did not start")?;
        Ok(Self {
            name: format!(":{number}"),
            _server: server,
        })
    }

    /// Asks every window here to close, as a window manager does when a person clicks the cross.
    ///
    /// # Errors
    /// When the display does not answer, or shows no window that can be asked.
    pub fn close_windows(&self) -> Result<()> {
        let (connection, screen) = x11rb::connect(Some(&self.name)).context("connect to the display")?;
        let atom = |name: &str| -> Result<u32> { Ok(connection.intern_atom(false, name.as_bytes())?.reply()?.atom) };
        let (protocols, delete) = (atom("WM_PROTOCOLS")?, atom("WM_DELETE_WINDOW")?);
        let root = connection.setup().roots[screen].root;
        let mut asked = 0;
        for window in connection.query_tree(root)?.reply()?.children {
            let property = connection
                .get_property(false, window, protocols, AtomEnum::ATOM, 0, 16)?
                .reply()?;
            let closable = property
                .value32()
                .is_some_and(|mut atoms| atoms.any(|atom| atom == delete));
            if closable && connection.get_window_attributes(window)?.reply()?.map_state == MapState::VIEWABLE {
                let event = ClientMessageEvent::new(32, window, protocols, [delete, x11rb::CURRENT_TIME, 0, 0, 0]);
                connection.send_event(false, window, EventMask::NO_EVENT, event)?;
                asked += 1;
            }
        }
        connection.flush()?;
        ensure!(asked > 0, "the display shows no window that can be closed");
        Ok(())
    }

    /// Lets a program open its windows here and nowhere else.
    pub fn tell(&self, command: &mut Command) {
        command
            .env("DISPLAY", &self.name)
            .env("GDK_BACKEND", "x11")
            .env_remove("WAYLAND_DISPLAY");
    }
}
