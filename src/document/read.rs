//! Reading any value without ever giving up: what does not fit is recorded, passed over, and the reading goes on.
//!
//! Uses `error` and `nearest`. Used by `parse`, which says what fields each object has.
//!
//! Everything is read through `deserialize_any`, in one pass over the input and without a tree in between. [`Any`]
//! is the one visitor: it hands whatever comes to a [`Shape`], which takes it or records a mismatch.

use super::error::{Sink, quoted, segment};
use super::nearest::Nearest;
use crate::dense::{to_u32, to_usize};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string of the input, borrowed where that is possible.
pub(crate) type Text<'de> = Cow<'de, str>;

/// What one reading shares.
#[derive(Default)]
pub(crate) struct Reader<'de> {
    pub(crate) sink: Sink,
    pub(crate) nearest: Nearest,
    pub(crate) keys: Keys<'de>,
    /// The numbers of all maps from keys to numbers, one after the other.
    pub(crate) numbers: Vec<(Key, u64)>,
}

/// A key of the input whose meaning is not known yet: the name of a resource kind or of a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key(pub(crate) u32);

/// A part of [`Reader::numbers`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    len: u32,
}

impl Span {
    pub(crate) fn len(self) -> usize {
        to_usize(self.len)
    }
}

/// Every distinct key once: documents repeat a few of them a million times.
#[derive(Default)]
pub(crate) struct Keys<'de> {
    /// Each key, and the map in which it was seen last.
    all: Vec<(Text<'de>, u32)>,
    /// Their positions: a tree, so that no choice of keys makes it slow.
    index: BTreeMap<Text<'de>, usize>,
    /// Counts maps.
    map: u32,
    /// The position at which the next key is likely to be found.
    next: usize,
}

impl<'de> Keys<'de> {
    /// The key's number, and whether this map has it already.
    pub(crate) fn note(&mut self, key: Text<'de>) -> (Key, bool) {
        let likely = [self.next, 0, 1];
        let known = likely.into_iter().find(|at| self.all.get(*at).is_some_and(|(known, _)| *known == key));
        let at = known.or_else(|| self.index.get(&key).copied()).unwrap_or_else(|| {
            self.index.insert(key.clone(), self.all.len());
            self.all.push((key, 0));
            self.all.len().saturating_sub(1)
        });
        self.next = at.saturating_add(1);
        let twice = self.all.get_mut(at).is_some_and(|(_, map)| core::mem::replace(map, self.map) == self.map);
        (Key(to_u32(at)), twice)
    }

    /// Keys noted from now on are those of another map.
    fn begin_map(&mut self) {
        self.map = self.map.wrapping_add(1);
        self.next = 0;
    }

    pub(crate) fn name(&self, key: Key) -> &str {
        self.all.get(to_usize(key.0)).map_or("", |(name, _)| name)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// A value without parts, or the fact that it has some.
pub(crate) enum Value<'de> {
    Null,
    Flag(bool),
    Whole(u64),
    Negative,
    /// A number with a fraction or exponent, or beyond `u64`; whether it is the latter.
    Inexact {
        too_large: bool,
    },
    Text(Text<'de>),
    List,
    Object,
}

impl Value<'_> {
    fn what(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "true or false",
            Self::Whole(_) | Self::Negative | Self::Inexact { .. } => "a number",
            Self::Text(_) => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// Something that takes the values it expects and records the others.
pub(crate) trait Shape<'de>: Sized {
    type Out;

    /// Anything that is neither list nor object, or that is one and not expected.
    fn other(self, value: Value<'de>) -> Self::Out;

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other(Value::List))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Out, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other(Value::Object))
    }

    /// Makes it a seed for serde.
    fn seed(self) -> Any<Self> {
        Any(self)
    }
}

/// A [`Shape`] as seed and visitor.
pub(crate) struct Any<S>(S);

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Any<S> {
    type Value = S::Out;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<S::Out, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Any<S> {
    type Value = S::Out;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value as JSON has them")
    }

    fn visit_unit<E: Error>(self) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<S::Out, D::Error> {
        input.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, input: D) -> Result<S::Out, D::Error> {
        input.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Flag(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Whole(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<S::Out, E> {
        Ok(self.0.other(u64::try_from(value).map_or(Value::Negative, Value::Whole)))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<S::Out, E> {
        Ok(self.0.other(u64::try_from(value).map_or(Value::Inexact { too_large: true }, Value::Whole)))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<S::Out, E> {
        let inexact = if value < 0 { Value::Negative } else { Value::Inexact { too_large: true } };
        Ok(self.0.other(u64::try_from(value).map_or(inexact, Value::Whole)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<S::Out, E> {
        // The sign is told from the number: JSON readers give -0 as a float, and it has neither fraction nor exponent.
        let negative = value.is_sign_negative();
        // 2^64: whatever is smaller and not read as u64 has a fraction or an exponent.
        let too_large = value >= 18_446_744_073_709_551_616.0;
        Ok(self.0.other(if negative { Value::Negative } else { Value::Inexact { too_large } }))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Text(Cow::Owned(value.to_string()))))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Text(Cow::Borrowed(value))))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<S::Out, E> {
        Ok(self.0.other(Value::Text(Cow::Owned(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<S::Out, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<S::Out, A::Error> {
        self.0.object(object)
    }
}

/// Takes every value as it is, and passes over lists and objects.
pub(crate) struct Scalar;

impl<'de> Shape<'de> for Scalar {
    type Out = Value<'de>;
    fn other(self, value: Value<'de>) -> Value<'de> {
        value
    }
}

/// Takes keys.
pub(crate) struct AnyKey;

impl<'de> DeserializeSeed<'de> for AnyKey {
    type Value = Text<'de>;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Text<'de>, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for AnyKey {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text<'de>, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Text<'de>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Text<'de>, E> {
        Ok(Cow::Owned(value))
    }
}

/// The next key of an object.
pub(crate) fn next_key<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Text<'de>>, A::Error> {
    object.next_key_seed(AnyKey)
}

/// An object with fixed fields, as far as it has been read.
pub(crate) trait Fields<'de> {
    /// What the object is, for messages: `a VM`.
    const WHAT: &'static str;
    /// The names of its fields: at most 64.
    const NAMES: &'static [&'static str];

    /// Reads the value of the field at this position of [`NAMES`](Self::NAMES).
    fn read<A: MapAccess<'de>>(
        &mut self,
        field: usize,
        object: &mut A,
        reader: &mut Reader<'de>,
    ) -> Result<(), A::Error>;

    /// Checks the object once all its fields have been read.
    fn finish(&mut self, _stated: Stated, _reader: &mut Reader<'de>) {}

    /// The object's name, as far as it is known.
    fn name(&self) -> Option<&str> {
        None
    }
}

/// Which fields an object has.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Stated {
    seen: u64,
    /// Those that could not be read.
    broken: u64,
    /// Whether anything could not be read, unknown fields included.
    unreadable: bool,
}

impl Stated {
    /// Whether the field at this position could not be read, so that its absence needs no further remark.
    pub(crate) fn is_broken<'de, T: Fields<'de>>(self, field: &str) -> bool {
        T::NAMES.iter().position(|name| *name == field).is_some_and(|at| self.broken & bit_of(at) != 0)
    }

    /// Whether any field could not be read.
    pub(crate) fn any_broken(self) -> bool {
        self.unreadable
    }
}

/// The bit of the field at a position.
fn bit_of(field: usize) -> u64 {
    1_u64.checked_shl(to_u32(field)).unwrap_or(0)
}

/// Reads an object with fixed fields. The result says whether it was one.
pub(crate) struct Object<'r, 'de, T> {
    pub(crate) into: &'r mut T,
    pub(crate) reader: &'r mut Reader<'de>,
}

impl<'de, T: Fields<'de>> Shape<'de> for Object<'_, 'de, T> {
    type Out = bool;

    fn other(self, value: Value<'de>) -> bool {
        self.reader.mismatch(T::WHAT, &value);
        false
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let start = self.reader.sink.mark();
        let mut stated = Stated::default();
        let result = self.reader.fields(&mut *self.into, &mut stated, &mut object);
        stated.unreadable = self.reader.sink.grew(start);
        if result.is_ok() {
            self.into.finish(stated, self.reader);
        }
        if self.reader.sink.grew(start) {
            if let Some(name) = self.into.name() {
                self.reader.sink.name_object(start, name);
            }
        }
        result.map(|()| true)
    }
}

/// Reads a list item by item.
pub(crate) struct Items<'r, 'de, F> {
    pub(crate) what: &'static str,
    pub(crate) reader: &'r mut Reader<'de>,
    pub(crate) each: F,
}

/// Reads one item of a list.
pub(crate) trait ReadItem<'de> {
    /// Reads the next item; `false` at the end.
    fn item<A: SeqAccess<'de>>(&mut self, list: &mut A, reader: &mut Reader<'de>) -> Result<bool, A::Error>;
}

impl<'de, F: ReadItem<'de>> Shape<'de> for Items<'_, 'de, F> {
    type Out = Option<F>;

    fn other(self, value: Value<'de>) -> Option<F> {
        if !matches!(value, Value::Null) {
            self.reader.mismatch(self.what, &value);
        }
        None
    }

    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Option<F>, A::Error> {
        let mut index = 0_usize;
        loop {
            let start = self.reader.sink.mark();
            let more = self.each.item(&mut list, self.reader);
            self.reader.sink.prefix_index(start, index);
            if !more? {
                return Ok(Some(self.each));
            }
            index = index.saturating_add(1);
        }
    }
}

/// Items that are objects with fixed fields.
impl<'de, T: Fields<'de> + Default> ReadItem<'de> for Vec<T> {
    fn item<A: SeqAccess<'de>>(&mut self, list: &mut A, reader: &mut Reader<'de>) -> Result<bool, A::Error> {
        // What is no object at all stays as an empty one, so that positions hold.
        self.push(T::default());
        let Some(item) = self.last_mut() else { return Ok(false) };
        let read = list.next_element_seed(Object { into: item, reader }.seed());
        if !matches!(read, Ok(Some(_))) {
            self.pop();
        }
        Ok(read?.is_some())
    }
}

/// Items that are strings.
pub(crate) struct Texts<'de>(pub(crate) Vec<Text<'de>>);

impl<'de> ReadItem<'de> for Texts<'de> {
    fn item<A: SeqAccess<'de>>(&mut self, list: &mut A, reader: &mut Reader<'de>) -> Result<bool, A::Error> {
        match list.next_element_seed(Scalar.seed())? {
            None => return Ok(false),
            Some(Value::Text(text)) if text.is_empty() => reader.sink.add("", "empty_name", "the name is empty"),
            Some(Value::Text(text)) => self.0.push(text),
            Some(other) => reader.mismatch("a string", &other),
        }
        Ok(true)
    }
}

/// Reads an object whose keys are names.
struct Entries<'r, 'de, F> {
    what: &'static str,
    reader: &'r mut Reader<'de>,
    each: F,
}

/// Reads the value that belongs to a key.
trait ReadEntry<'de> {
    fn entry<A: MapAccess<'de>>(&mut self, key: Key, object: &mut A, reader: &mut Reader<'de>) -> Result<(), A::Error>;
}

impl<'de, F: ReadEntry<'de>> Shape<'de> for Entries<'_, 'de, F> {
    type Out = Option<F>;

    fn other(self, value: Value<'de>) -> Option<F> {
        if !matches!(value, Value::Null) {
            self.reader.mismatch(self.what, &value);
        }
        None
    }

    fn object<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Option<F>, A::Error> {
        self.reader.keys.begin_map();
        while let Some(name) = next_key(&mut object)? {
            let (key, twice) = self.reader.keys.note(name);
            let start = self.reader.sink.mark();
            if twice {
                object.next_value::<IgnoredAny>()?;
                self.reader.sink.add("", "duplicate_key", "the key stands there twice");
            }
            let result = if twice { Ok(()) } else { self.each.entry(key, &mut object, self.reader) };
            if self.reader.sink.grew(start) {
                let name = segment(self.reader.keys.name(key));
                self.reader.sink.prefix(start, &name);
            }
            result?;
        }
        Ok(Some(self.each))
    }
}

/// Numbers by name, up to a limit.
struct Numbers {
    limit: u64,
}

impl<'de> ReadEntry<'de> for Numbers {
    fn entry<A: MapAccess<'de>>(&mut self, key: Key, object: &mut A, reader: &mut Reader<'de>) -> Result<(), A::Error> {
        let value = object.next_value_seed(Scalar.seed())?;
        if let Some(number) = reader.take_whole(&value, self.limit) {
            reader.numbers.push((key, number));
        }
        Ok(())
    }
}

/// Names by name.
impl<'de> ReadEntry<'de> for Vec<(Key, Text<'de>)> {
    fn entry<A: MapAccess<'de>>(&mut self, key: Key, object: &mut A, reader: &mut Reader<'de>) -> Result<(), A::Error> {
        if let Some(text) = reader.name(object)? {
            self.push((key, text));
        }
        Ok(())
    }
}

/// Lists of names by name.
pub(crate) type NameLists<'de> = Vec<(Key, Vec<Text<'de>>)>;

impl<'de> ReadEntry<'de> for NameLists<'de> {
    fn entry<A: MapAccess<'de>>(&mut self, key: Key, object: &mut A, reader: &mut Reader<'de>) -> Result<(), A::Error> {
        if let Some(texts) = reader.names(object)? {
            self.push((key, texts));
        }
        Ok(())
    }
}

impl<'de> Reader<'de> {
    /// Records that a value is not what it should be.
    pub(crate) fn mismatch(&mut self, expected: &str, found: &Value<'de>) {
        self.sink.add("", "wrong_type", format!("expected {expected}, found {}", found.what()));
    }

    /// Records that a field is missing.
    pub(crate) fn missing(&mut self, what: &str, field: &str) {
        self.sink.add("", "missing_field", format!("{what} needs the field \"{field}\""));
    }

    /// Begins a map from keys to numbers.
    pub(crate) fn begin_numbers(&mut self) -> Span {
        self.keys.begin_map();
        Span { start: self.numbers.len(), len: 0 }
    }

    /// Ends it.
    pub(crate) fn end_numbers(&self, span: &mut Span) {
        span.len = to_u32(self.numbers.len().saturating_sub(span.start));
    }

    /// One of the numbers of a map, with its key.
    pub(crate) fn number_at(&self, span: Span, at: usize) -> Option<(Key, u64)> {
        self.numbers.get(span.start.saturating_add(at)).copied()
    }

    /// The numbers of a map, by key.
    pub(crate) fn numbers_of(&self, span: Span) -> &[(Key, u64)] {
        let end = span.start.saturating_add(to_usize(span.len));
        self.numbers.get(span.start..end).unwrap_or_default()
    }

    fn fields<T: Fields<'de>, A: MapAccess<'de>>(
        &mut self,
        into: &mut T,
        stated: &mut Stated,
        object: &mut A,
    ) -> Result<(), A::Error> {
        // Objects of one sort usually list their fields in one order: the next name is tried first.
        let mut next = 0_usize;
        while let Some(key) = next_key(object)? {
            let (before, after) = T::NAMES.split_at_checked(next).unwrap_or((T::NAMES, &[]));
            let is = |name: &&'static str| **name == *key;
            let found = after.iter().position(is).map(|at| at.saturating_add(next));
            let found = found.or_else(|| before.iter().position(is));
            let start = self.sink.mark();
            let Some((at, name)) = found.and_then(|at| Some((at, *T::NAMES.get(at)?))) else {
                object.next_value::<IgnoredAny>()?;
                let hint = self.nearest.hint(&key, T::NAMES.iter().copied());
                self.sink.add(segment(&key), "unknown_field", format!("unknown field{hint}"));
                continue;
            };
            next = at.saturating_add(1);
            let bit = bit_of(at);
            if stated.seen & bit != 0 {
                object.next_value::<IgnoredAny>()?;
                self.sink.add(name, "duplicate_key", "the field stands there twice");
                continue;
            }
            stated.seen |= bit;
            let result = into.read(at, object, self);
            if self.sink.grew(start) {
                stated.broken |= bit;
                self.sink.prefix(start, name);
            }
            result?;
        }
        Ok(())
    }

    /// A string, or nothing.
    pub(crate) fn text<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<Text<'de>>, A::Error> {
        Ok(match object.next_value_seed(Scalar.seed())? {
            Value::Null => None,
            Value::Text(text) => Some(text),
            other => {
                self.mismatch("a string", &other);
                None
            }
        })
    }

    /// A string that is not empty, or nothing.
    pub(crate) fn name<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<Text<'de>>, A::Error> {
        let text = self.text(object)?;
        if text.as_ref().is_some_and(|text| text.is_empty()) {
            self.sink.add("", "empty_name", "the name is empty");
            return Ok(None);
        }
        Ok(text)
    }

    /// A list of strings that are not empty, or nothing.
    pub(crate) fn names<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<Vec<Text<'de>>>, A::Error> {
        let items = Items { what: "a list of strings", reader: self, each: Texts(Vec::new()) };
        Ok(object.next_value_seed(items.seed())?.map(|texts| texts.0))
    }

    /// A list of objects, or nothing.
    pub(crate) fn objects<A: MapAccess<'de>, T: Fields<'de> + Default>(
        &mut self,
        object: &mut A,
    ) -> Result<Option<Vec<T>>, A::Error> {
        object.next_value_seed(Items { what: "a list", reader: self, each: Vec::new() }.seed())
    }

    /// An object, or nothing.
    pub(crate) fn object<A: MapAccess<'de>, T: Fields<'de> + Default>(
        &mut self,
        object: &mut A,
    ) -> Result<Option<T>, A::Error> {
        let mut into = T::default();
        let found = object.next_value_seed(Optional(Object { into: &mut into, reader: self }).seed())?;
        Ok(found.then_some(into))
    }

    /// `true` or `false`, or nothing.
    pub(crate) fn flag<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<bool>, A::Error> {
        Ok(match object.next_value_seed(Scalar.seed())? {
            Value::Null => None,
            Value::Flag(flag) => Some(flag),
            other => {
                self.mismatch("true or false", &other);
                None
            }
        })
    }

    /// A whole number up to `u64::MAX`, or nothing.
    pub(crate) fn whole<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<u64>, A::Error> {
        let value = object.next_value_seed(Scalar.seed())?;
        Ok(self.take_whole(&value, u64::MAX))
    }

    /// A whole number up to `u32::MAX`, or nothing.
    pub(crate) fn count<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<u32>, A::Error> {
        let value = object.next_value_seed(Scalar.seed())?;
        Ok(self.take_whole(&value, u64::from(u32::MAX)).and_then(|whole| u32::try_from(whole).ok()))
    }

    /// The whole number that a value is, if it is one within the limit.
    pub(crate) fn take_whole(&mut self, value: &Value<'de>, limit: u64) -> Option<u64> {
        match value {
            Value::Null => None,
            Value::Whole(whole) if *whole <= limit => Some(*whole),
            Value::Whole(_) | Value::Inexact { too_large: true } => {
                self.sink.add("", "too_large", format!("the number is too large: at most {limit} is possible"));
                None
            }
            Value::Negative => {
                self.sink.add("", "not_whole", "the number is negative: expected a whole number from 0 on");
                None
            }
            Value::Inexact { .. } => {
                self.sink.add("", "not_whole", "expected a whole number, without fraction or exponent");
                None
            }
            other => {
                self.mismatch("a whole number", other);
                None
            }
        }
    }

    /// One of a few names, or nothing.
    pub(crate) fn choice<A: MapAccess<'de>, T>(
        &mut self,
        object: &mut A,
        from_name: impl Fn(&str) -> Option<T>,
        names: impl IntoIterator<Item = &'static str> + Clone,
    ) -> Result<Option<T>, A::Error> {
        let Some(text) = self.text(object)? else { return Ok(None) };
        let found = from_name(&text);
        if found.is_none() {
            self.no_such_choice(&text, names);
        }
        Ok(found)
    }

    /// Records a name that is none of a few.
    pub(crate) fn no_such_choice(&mut self, name: &str, names: impl IntoIterator<Item = &'static str> + Clone) {
        let mut hint = self.nearest.hint(name, names.clone());
        if hint.is_empty() {
            let all: Vec<String> = names.into_iter().map(quoted).collect();
            hint = format!(": expected {}", all.join(", "));
        }
        self.sink.add("", "unknown_value", format!("{} is unknown{hint}", quoted(name)));
    }

    /// A map from names to whole numbers, or nothing.
    pub(crate) fn number_map<A: MapAccess<'de>>(
        &mut self,
        object: &mut A,
        limit: u64,
    ) -> Result<Option<Span>, A::Error> {
        let start = self.numbers.len();
        let entries = Entries { what: "an object of numbers by name", reader: &mut *self, each: Numbers { limit } };
        let found = object.next_value_seed(entries.seed())?;
        let len = to_u32(self.numbers.len().saturating_sub(start));
        Ok(found.map(|_| Span { start, len }))
    }

    /// The same where the map stands by itself.
    pub(crate) fn number_map_of<D: Deserializer<'de>>(
        &mut self,
        input: D,
        limit: u64,
    ) -> Result<Option<Span>, D::Error> {
        let start = self.numbers.len();
        let entries = Entries { what: "an object of numbers by name", reader: &mut *self, each: Numbers { limit } };
        let found = entries.seed().deserialize(input)?;
        let len = to_u32(self.numbers.len().saturating_sub(start));
        Ok(found.map(|_| Span { start, len }))
    }

    /// A map from names to names, or nothing.
    pub(crate) fn name_map<A: MapAccess<'de>>(
        &mut self,
        object: &mut A,
    ) -> Result<Option<Vec<(Key, Text<'de>)>>, A::Error> {
        object.next_value_seed(Entries { what: "an object of names by name", reader: self, each: Vec::new() }.seed())
    }

    /// A map from names to lists of names, or nothing.
    pub(crate) fn name_lists<A: MapAccess<'de>>(&mut self, object: &mut A) -> Result<Option<NameLists<'de>>, A::Error> {
        object.next_value_seed(
            Entries { what: "an object of lists by name", reader: self, each: NameLists::new() }.seed(),
        )
    }
}

/// An object that may be left out by `null`.
struct Optional<S>(S);

impl<'de, S: Shape<'de, Out = bool>> Shape<'de> for Optional<S> {
    type Out = bool;

    fn other(self, value: Value<'de>) -> bool {
        if matches!(value, Value::Null) { false } else { self.0.other(value) }
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        self.0.list(list)
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        self.0.object(object)
    }
}
