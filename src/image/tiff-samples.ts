/** How a TIFF's samples become RGB. */
export interface Samples {
  /** TIFF's PhotometricInterpretation: 0 and 1 grey, 2 RGB, 3 a palette, 5 CMYK. */
  readonly photometric: number;
  /** Of a sample: 1, 2, 4, 8 or 16. */
  readonly bits: number;
  /** Samples a pixel in these rows. */
  readonly channels: number;
  /** Whether colours were multiplied by the alpha that follows them. */
  readonly premultiplied: boolean;
  /** Whether the lower byte of 16 bits comes first. */
  readonly little: boolean;
  /** Of a palette: all reds, all greens, all blues, of 16 bits each. */
  readonly colours: readonly number[];
}

/** Undoes TIFF's horizontal predictor in place, on a row of `channels` samples a pixel. */
export function undoPredictor(row: Uint8Array, { bits, channels, little }: Samples): void {
  if (bits !== 16) {
    for (let i = channels; i < row.length; i++) row[i] += row[i - channels];
    return;
  }
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  for (let i = 2 * channels; i + 1 < row.length; i += 2) {
    view.setUint16(i, view.getUint16(i, little) + view.getUint16(i - 2 * channels, little), little);
  }
}

/** Copies `count` pixels of a row to RGB. Of 16 bits the high byte counts. */
export function copySamples(row: Uint8Array, samples: Samples, count: number, out: Uint8Array, to: number): void {
  const { photometric, bits, channels, little } = samples;
  const step = bits === 16 ? 2 : 1;
  const high = bits === 16 && little ? 1 : 0;
  if (photometric === 2 || photometric === 5) {
    for (let x = 0, i = high, o = to; x < count; x++, i += step * channels, o += 3) {
      for (let c = 0; c < 3; c++) out[o + c] = row[i + step * c];
      const fourth = row[i + 3 * step];
      if (photometric === 5) addInk(out, o, fourth);
      else if (samples.premultiplied) divide(out, o, fourth);
    }
    return;
  }
  const table = tableOf(samples);
  const mask = 2 ** Math.min(bits, 8) - 1;
  for (let x = 0, o = to; x < count; x++, o += 3) {
    const bit = x * bits * channels;
    const value = bits < 8 ? (row[bit >> 3] >> (8 - bits - (bit & 7))) & mask : row[(bit >> 3) + high];
    out[o] = table[3 * value];
    out[o + 1] = table[3 * value + 1];
    out[o + 2] = table[3 * value + 2];
  }
}

/** CMY at `o` to RGB with a black, rounded as PIL's `convert` does. */
function addInk(out: Uint8Array, o: number, ink: number): void {
  const light = 255 - ink;
  for (let c = o; c < o + 3; c++) {
    const product = out[c] * light + 128;
    out[c] = light - ((product + (product >> 8)) >> 8);
  }
}

function divide(out: Uint8Array, o: number, alpha: number): void {
  for (let c = o; c < o + 3; c++) out[c] = alpha === 0 ? 0 : Math.min(255, Math.floor((255 * out[c]) / alpha));
}

/** The RGB of every value of 8 bits or fewer. */
function tableOf({ photometric, bits, colours }: Samples): Uint8Array {
  const table = new Uint8Array(3 * 256);
  const most = 2 ** Math.min(bits, 8) - 1;
  for (let value = 0; value <= most; value++) {
    for (let c = 0; c < 3; c++) {
      const grey = (value * 255) / most;
      if (photometric === 3) table[3 * value + c] = (colours[c * 2 ** bits + value] ?? 0) >> 8;
      else table[3 * value + c] = photometric === 0 ? 255 - grey : grey;
    }
  }
  return table;
}
