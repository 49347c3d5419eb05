//! From documents to what is shown: names instead of ids, local times instead of instants. Nothing here changes anything.

pub(crate) mod header;
pub(crate) mod item;
pub(crate) mod office;
pub(crate) mod parts;
