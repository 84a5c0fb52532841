// Writes tests/data/rope/real_size.txt from the golden rope_real_size.safetensors: one line a tensor,
// its name, then its values (f32 with nine digits, which read back to the same bits).
//
//     node tools/make_rope_fixture.mjs ../shared/goldens/scout-tiny/rope_real_size.safetensors \
//         > tests/data/rope/real_size.txt

import {readFileSync} from 'node:fs';

const file = readFileSync(process.argv[2]);
const headerBytes = Number(file.readBigUInt64LE(0));
const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString('utf8'));
const data = file.subarray(8 + headerBytes);

for (const name of Object.keys(header).sort()) {
  const {dtype, data_offsets: [begin, end]} = header[name];
  const values = [];
  for (let at = begin; at < end; at += dtype === 'I64' ? 8 : 4) {
    values.push(dtype === 'I64' ? data.readBigInt64LE(at).toString()
                                : data.readFloatLE(at).toPrecision(9));
  }
  console.log([name, ...values].join(' '));
}
