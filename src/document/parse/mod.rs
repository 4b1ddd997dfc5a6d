//! What a document says, by its form alone: which fields each object has and what their values may be.
//!
//! Uses `read`. Used by `resolve`, which finds out what the names mean. One file per object.

pub(super) mod annotations;
pub(super) mod node;
pub(super) mod policy;
pub(super) mod root;
pub(super) mod rule;
pub(super) mod vm;

/// Implements `Fields::read` by a table of fields.
macro_rules! fields {
    ($type:ident, $what:literal, $self:ident, $object:ident, $reader:ident, { $($name:literal => $read:expr),+ $(,)? }) => {
        const WHAT: &'static str = $what;
        const NAMES: &'static [&'static str] = &[$($name),+];

        fn read<A: serde::de::MapAccess<'de>>(
            &mut $self,
            field: usize,
            $object: &mut A,
            $reader: &mut $crate::document::read::Reader<'de>,
        ) -> Result<(), A::Error> {
            // Counted while compiling: what is left is one jump.
            let mut position = 0_usize;
            $(
                if field == position {
                    $read;
                    return Ok(());
                }
                position = position.wrapping_add(1);
            )+
            let _ = position;
            Ok(())
        }
    };
}
pub(super) use fields;

/// The names of a field-less enum of the crate.
macro_rules! names_of {
    ($type:ty) => {
        <$type>::ALL.iter().map(|value| value.name())
    };
}
pub(super) use names_of;
