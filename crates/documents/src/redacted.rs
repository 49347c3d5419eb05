//! Debug output that names the type and nothing else, for structures that hold client data.

/// Implements `Debug` for each type so that it prints as `Name(..)`.
macro_rules! redacted_debug {
    ($($name:ident),+ $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

pub(crate) use redacted_debug;
