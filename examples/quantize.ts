/**
 * Quantizes a matrix of the program's own to 4 bits, prints what that costs, and multiplies with it.
 *
 *     deno run -A examples/quantize.ts                   (or: bun examples/quantize.ts)
 */
import { Quantizer } from "../mod.ts";

const [rows, columns] = [512, 1024];
const weights = Float32Array.from({ length: rows * columns }, (_, i) => 1 + Math.sin(i * 0.37) * Math.cos(i * 0.011));
const vector = Float32Array.from({ length: columns }, (_, i) => 1 + Math.cos(i));

const quantizer = new Quantizer();
const tensor = await quantizer.quantize(weights, { format: "q4_0", shape: [rows, columns] });
const { rmse, maximum, cosine } = await quantizer.error(tensor, weights);
console.log(
  `${weights.byteLength} bytes became ${tensor.bytes}; rmse ${rmse.toFixed(4)}, at most ${maximum.toFixed(4)}, cosine ${
    cosine.toFixed(5)
  }`,
);

const product = await quantizer.matvec(tensor, vector);
const exact = weights.subarray(0, columns).reduce((sum, weight, i) => sum + weight * vector[i], 0);
console.log(`the first of ${product.length} products: ${product[0].toFixed(3)}; of the floats: ${exact.toFixed(3)}`);
