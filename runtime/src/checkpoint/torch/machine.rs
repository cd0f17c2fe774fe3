//! The stack machine of pickles, with the instructions that `torch.save` uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::archive::Archive;
use super::object::{Global, Id, Object};
use super::tensor::{Storage, TorchTensor};
use super::{Torch, TorchError};

/// How deep containers may be nested: what PyTorch saves is not.
const MAX_DEPTH: usize = 64;

/// A run over one pickle.
pub(super) struct Machine<'a> {
    pickle: &'a [u8],
    at: usize,
    archive: &'a Archive<'a>,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack at which a list of arguments began.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    storages: BTreeMap<String, Arc<Storage>>,
    parts: usize,
}

type Step<T> = Result<T, TorchError>;

impl<'a> Machine<'a> {
    pub(super) fn new(pickle: &'a [u8], archive: &'a Archive<'a>) -> Machine<'a> {
        Machine {
            pickle,
            at: 0,
            archive,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
            storages: BTreeMap::new(),
            parts: 0,
        }
    }

    pub(super) fn run(mut self) -> Step<Torch> {
        loop {
            let code = self.byte()?;
            if code == b'.' {
                let result = self.pop()?;
                return self.finished(result, 0);
            }
            self.step(code)?;
        }
    }

    /// One instruction, by the letters of `pickletools`.
    fn step(&mut self, code: u8) -> Step<()> {
        match code {
            0x80 => self.bytes(1).map(|_| ()),
            0x95 => self.bytes(8).map(|_| ()),
            b'N' => self.push_plain(Torch::None),
            0x88 => self.push_plain(Torch::Bool(true)),
            0x89 => self.push_plain(Torch::Bool(false)),
            b'J' => self.integer(4),
            b'K' => self.integer(1),
            b'M' => self.integer(2),
            0x8a => {
                let length = self.byte()?;
                self.integer(usize::from(length))
            }
            b'G' => {
                let bytes: [u8; 8] = self.array()?;
                self.push_plain(Torch::Float(f64::from_be_bytes(bytes)))
            }
            b'X' => self.text(4),
            0x8c => self.text(1),
            b'}' => self.push(Object::Dict(Vec::new())),
            b']' => self.push(Object::List(Vec::new())),
            b')' => self.push(Object::Tuple(Vec::new())),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b't' => {
                let parts = self.marked()?;
                self.push(Object::Tuple(parts))
            }
            0x85..=0x87 => {
                let parts = (0..code - 0x84).map(|_| self.pop()).collect::<Step<Vec<Id>>>()?;
                self.push(Object::Tuple(parts.into_iter().rev().collect()))
            }
            b'q' => {
                let key = self.byte()?;
                self.remember(u32::from(key))
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key)
            }
            0x94 => self.remember(self.memo.len() as u32),
            b'h' => {
                let key = self.byte()?;
                self.recall(u32::from(key))
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)
            }
            b'a' => {
                let part = self.pop()?;
                self.extend_list(vec![part])
            }
            b'e' => {
                let parts = self.marked()?;
                self.extend_list(parts)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend_dict(&[key, value])
            }
            b'u' => {
                let parts = self.marked()?;
                self.extend_dict(&parts)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(Global::find(&module, &name)?))
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Object::Global(Global::find(&module, &name)?))
            }
            b'Q' => self.storage(),
            b'R' => self.call(),
            // The attributes of an `OrderedDict`: PyTorch's `_metadata`, which holds versions of modules.
            b'b' => self.pop().map(|_| ()),
            _ => Err(self.fault(format!("the instruction {:?} ({code:#04x}) is not one of tensors", char::from(code)))),
        }
    }

    fn fault(&self, reason: impl Into<String>) -> TorchError {
        TorchError::Pickle { at: self.at.saturating_sub(1), reason: reason.into() }
    }

    fn bytes(&mut self, count: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.pickle.len());
        let end = end.ok_or_else(|| self.fault("it ends in the middle of an instruction"))?;
        let bytes = &self.pickle[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("so many were taken"))
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.pickle[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| self.fault("a name does not end"))?;
        let line = self.bytes(length + 1)?;
        Ok(String::from_utf8_lossy(&line[..length]).into_owned())
    }

    /// A little-endian integer of so many bytes, with a sign unless it is short and fixed.
    fn integer(&mut self, length: usize) -> Step<()> {
        if length > 8 {
            return Err(self.fault("an integer of more than 64 bits"));
        }
        let bytes = self.bytes(length)?;
        let is_signed =
            length > 2 || self.pickle[self.at - length - 1] != b'K' && self.pickle[self.at - length - 1] != b'M';
        let negative = is_signed && bytes.last().is_some_and(|&top| top >= 0x80);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        whole[..length].copy_from_slice(bytes);
        self.push_plain(Torch::Int(i64::from_le_bytes(whole)))
    }

    fn text(&mut self, length_bytes: usize) -> Step<()> {
        let length = self.bytes(length_bytes)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
        let bytes = self.bytes(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.fault("text that is not UTF-8"))?;
        self.push_plain(Torch::Text(text.to_owned()))
    }

    fn push(&mut self, object: Object) -> Step<()> {
        self.stack.push(self.objects.len());
        self.objects.push(object);
        Ok(())
    }

    fn push_plain(&mut self, value: Torch) -> Step<()> {
        self.push(Object::Plain(value))
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.fault("an instruction lacks its operand"));
        }
        Ok(self.stack.pop().expect("it was just counted"))
    }

    fn pop_text(&mut self) -> Step<String> {
        let id = self.pop()?;
        match &self.objects[id] {
            Object::Plain(Torch::Text(text)) => Ok(text.clone()),
            _ => Err(self.fault("a name that is no text")),
        }
    }

    /// What lies above the last mark.
    fn marked(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.fault("a list of arguments that never began"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| self.fault("an instruction lacks its operand"))
    }

    fn remember(&mut self, key: u32) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Step<()> {
        let id = *self.memo.get(&key).ok_or_else(|| self.fault(format!("object {key} does not exist")))?;
        self.stack.push(id);
        Ok(())
    }

    fn extend_list(&mut self, parts: Vec<Id>) -> Step<()> {
        let top = self.top()?;
        match &mut self.objects[top] {
            Object::List(list) => {
                list.extend(parts);
                Ok(())
            }
            _ => Err(self.fault("an element for what is no list")),
        }
    }

    fn extend_dict(&mut self, parts: &[Id]) -> Step<()> {
        let top = self.top()?;
        match &mut self.objects[top] {
            Object::Dict(dict) if parts.len().is_multiple_of(2) => {
                dict.extend(parts.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err(self.fault("an entry for what is no dict")),
        }
    }

    /// A persistent id: `("storage", class, key, device, elements)`. Each storage is read once.
    fn storage(&mut self) -> Step<()> {
        let id = self.pop()?;
        let parts = self.tuple(id)?;
        let text = |id: Option<&Id>| match id.map(|&id| &self.objects[id]) {
            Some(Object::Plain(Torch::Text(text))) => Some(text.clone()),
            _ => None,
        };
        let class = parts.get(1).map(|&id| &self.objects[id]);
        let (Some(kind), Some(Object::Global(Global::Storage(dtype))), Some(key)) =
            (text(parts.first()), class, text(parts.get(2)))
        else {
            return Err(self.fault("a persistent object that is no storage"));
        };
        if kind != "storage" {
            return Err(TorchError::Refused(format!("persistent object `{kind}`")));
        }
        let dtype = *dtype;
        let storage = match self.storages.get(&key) {
            Some(storage) => storage.clone(),
            None => {
                let bytes = self.archive.entry(&format!("data/{key}"))?.to_vec();
                Arc::new(Storage { key: key.clone(), dtype, bytes })
            }
        };
        self.storages.insert(key, storage.clone());
        self.push(Object::Storage(storage))
    }

    fn tuple(&self, id: Id) -> Step<Vec<Id>> {
        match &self.objects[id] {
            Object::Tuple(parts) => Ok(parts.clone()),
            _ => Err(self.fault("arguments that are no tuple")),
        }
    }

    /// Calls one of the known names.
    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self.tuple(arguments)?;
        let Object::Global(global) = &self.objects[function] else {
            return Err(self.fault("a call of what is no name"));
        };
        match (*global, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.push(Object::Dict(Vec::new())),
            (Global::Size, &[extents]) => {
                self.stack.push(extents);
                Ok(())
            }
            (Global::RebuildParameter, &[tensor, ..]) => {
                self.stack.push(tensor);
                Ok(())
            }
            (Global::RebuildTensor, &[storage, offset, shape, stride, ..]) => {
                let Object::Storage(storage) = &self.objects[storage] else {
                    return Err(self.fault("a tensor without a storage"));
                };
                let storage = storage.clone();
                let (offset, shape, stride) = (self.count(offset)?, self.counts(shape)?, self.counts(stride)?);
                let tensor = TorchTensor::new(storage, offset, shape, stride)?;
                self.push_plain(Torch::Tensor(tensor))
            }
            _ => Err(self.fault("a call with other arguments than PyTorch's")),
        }
    }

    fn count(&self, id: Id) -> Step<usize> {
        match self.objects[id] {
            Object::Plain(Torch::Int(count)) => usize::try_from(count).map_err(|_| self.fault("a negative extent")),
            _ => Err(self.fault("an extent that is no integer")),
        }
    }

    fn counts(&self, id: Id) -> Step<Vec<usize>> {
        self.tuple(id)?.into_iter().map(|part| self.count(part)).collect()
    }

    /// An object as a value of its own.
    fn finished(&mut self, id: Id, depth: usize) -> Step<Torch> {
        self.parts += 1;
        // A part takes at least a byte, unless it belongs to a container that several others share: those could unfold without end.
        if depth > MAX_DEPTH || self.parts > self.pickle.len() {
            return Err(self.fault("containers within containers without end"));
        }
        match self.objects[id].clone() {
            Object::Plain(value) => Ok(value),
            Object::List(parts) | Object::Tuple(parts) => {
                let parts = parts.into_iter().map(|part| self.finished(part, depth + 1));
                Ok(Torch::List(parts.collect::<Step<_>>()?))
            }
            Object::Dict(entries) => {
                let mut dict = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let name = match self.finished(key, depth + 1)? {
                        Torch::Text(name) => name,
                        Torch::Int(number) => number.to_string(),
                        _ => return Err(self.fault("a key that is neither text nor a number")),
                    };
                    dict.push((name, self.finished(value, depth + 1)?));
                }
                Ok(Torch::Dict(dict))
            }
            Object::Global(Global::DType(word)) => Ok(Torch::Text(word.to_owned())),
            Object::Global(_) | Object::Storage(_) => Err(self.fault("a name or a storage where a value should be")),
        }
    }
}
