/**
 * Errors about a tensor of a file: one that is missing or has the wrong shape, and one that may be right but has no use here.
 *
 * @module
 */
import { ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import type { Gguf } from "../../files/gguf/read.ts";

/** The error about a tensor; its offset is where the file describes it. */
export function tensorError(gguf: Gguf, name: string, message: string, expected: string): ModelFormatError {
  const tensor = gguf.tensors.get(name);
  const where = tensor === undefined ? "" : ` (byte ${tensor.infoOffset})`;
  return new ModelFormatError(`${gguf.files[tensor?.file ?? 0]}: ${message}; expected ${expected}${where}`, {
    field: name,
    ...(tensor === undefined ? {} : { offset: tensor.infoOffset }),
    expected,
  });
}

/** The error about a tensor that may be right, but that we have nothing for. */
export function unsupportedTensor(gguf: Gguf, name: string, what: string, expected: string): UnsupportedError {
  const tensor = gguf.tensors.get(name);
  const place = tensor === undefined ? gguf.files[0] : `${gguf.files[tensor.file]} (byte ${tensor.infoOffset})`;
  return new UnsupportedError(`${place}: the tensor ${name} ${what}, which is not supported; expected ${expected}.`, {
    what: "a tensor that is not supported",
    where: name,
    expected,
    ...(tensor === undefined ? {} : { got: tensor.typeName }),
  });
}
