/** Finds where a MessagePack value ends, without reading it. */

/** The bytes between a tag and what it says the size of, or the value itself; -1: a tag that JSON has no value for. */
const headSize = Int8Array.from({ length: 256 }, (_, tag) => {
  if (tag === 0xc0 || tag === 0xc2 || tag === 0xc3) return 0;
  if (tag === 0xcb || tag === 0xcf || tag === 0xd3) return 8;
  if (tag === 0xcc || tag === 0xd0 || tag === 0xd9) return 1;
  if (tag === 0xcd || tag === 0xd1 || tag === 0xda || tag === 0xdc || tag === 0xde) return 2;
  if (tag === 0xce || tag === 0xd2 || tag === 0xdb || tag === 0xdd || tag === 0xdf) return 4;
  return -1;
});

/** Where the value that begins at `start` ends; -1 when the bytes end before, or it holds what JSON has no value for. */
export function skipMsgpack(bytes: Uint8Array, view: DataView, start: number): number {
  let at = start;
  for (let open = 1; open > 0; open--) {
    const tag = bytes[at++];
    if (tag === undefined) return -1;
    if (tag <= 0x7f || tag >= 0xe0) continue;
    if (tag <= 0x8f) open += 2 * (tag & 0x0f);
    else if (tag <= 0x9f) open += tag & 0x0f;
    else if (tag <= 0xbf) at += tag & 0x1f;
    else {
      const head = headSize[tag] as number;
      if (head < 0 || at + head > bytes.length) return -1;
      if (tag >= 0xd9) {
        const count = head === 1 ? (bytes[at] as number) : head === 2 ? view.getUint16(at) : view.getUint32(at);
        if (tag <= 0xdb) at += count;
        else open += tag <= 0xdd ? count : 2 * count;
      }
      at += head;
    }
  }
  return at <= bytes.length ? at : -1;
}
