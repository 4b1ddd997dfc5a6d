//! Annotations: any JSON object, kept as it is.
//!
//! Uses `read`. Used by the other objects of `parse`.

use crate::annotations::{AnnotationValue, Annotations};
use crate::document::error::segment;
use crate::document::read::{AnyKey, Reader};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How deep annotations may nest: as deep as the JSON reader goes.
const DEEPEST: usize = 120;

/// Annotations, or nothing.
pub(crate) fn read_annotations<'de, A: MapAccess<'de>>(
    object: &mut A,
    reader: &mut Reader<'de>,
) -> Result<Option<Annotations>, A::Error> {
    let value = object.next_value_seed(AnyValue { reader: &mut *reader, depth: 0 })?;
    match value {
        AnnotationValue::Null => Ok(None),
        AnnotationValue::Object(annotations) => Ok(Some(*annotations)),
        _ => {
            reader.sink.add("", "wrong_type", "expected an object of annotations");
            Ok(None)
        }
    }
}

/// Reads any value.
struct AnyValue<'r, 'de> {
    reader: &'r mut Reader<'de>,
    depth: usize,
}

impl AnyValue<'_, '_> {
    /// Records that the value lies too deep; says whether it does.
    fn is_too_deep(&mut self) -> bool {
        let too_deep = self.depth > DEEPEST;
        if too_deep {
            self.reader.sink.add("", "too_deep", "annotations are nested too deep");
        }
        too_deep
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_, 'de> {
    type Value = AnnotationValue;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<AnnotationValue, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_, 'de> {
    type Value = AnnotationValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value as JSON has them")
    }

    fn visit_unit<E: Error>(self) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::Null)
    }

    fn visit_none<E: Error>(self) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<AnnotationValue, D::Error> {
        input.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<AnnotationValue, E> {
        Ok(u64::try_from(value).map_or(AnnotationValue::Negative(value), AnnotationValue::Whole))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::FloatBits(value.to_bits()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::Text(value.to_string()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<AnnotationValue, E> {
        Ok(AnnotationValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<AnnotationValue, A::Error> {
        let mut values = Vec::new();
        if self.is_too_deep() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(AnnotationValue::List(values));
        }
        let depth = self.depth.saturating_add(1);
        loop {
            let start = self.reader.sink.mark();
            let value = list.next_element_seed(AnyValue { reader: &mut *self.reader, depth });
            self.reader.sink.prefix_index(start, values.len());
            match value? {
                Some(value) => values.push(value),
                None => return Ok(AnnotationValue::List(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<AnnotationValue, A::Error> {
        let mut fields: Vec<(String, AnnotationValue)> = Vec::new();
        if self.is_too_deep() {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(AnnotationValue::Object(Box::default()));
        }
        let depth = self.depth.saturating_add(1);
        while let Some(name) = object.next_key_seed(AnyKey)? {
            let start = self.reader.sink.mark();
            let value = object.next_value_seed(AnyValue { reader: &mut *self.reader, depth });
            if self.reader.sink.grew(start) {
                self.reader.sink.prefix(start, &segment(&name));
            }
            fields.push((name.into_owned(), value?));
        }
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [first, second] = pair {
                if first == second {
                    self.reader.sink.add(segment(first), "duplicate_key", "the key stands there twice");
                }
            }
        }
        Ok(AnnotationValue::Object(Box::new(Annotations { fields })))
    }
}
