// usage: anthropic.mjs BASE_URL. Drives a server of llama-scout-mini with Anthropic's own client.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({
  baseURL: process.argv[2].replace(/\/v1$/, ''), apiKey: 'key-of-the-test', maxRetries: 0 });
const messages = [{ role: 'user', content: 'Tell me a story.' }];
const common = { model: 'llama-scout-mini', messages, max_tokens: 24, temperature: 0 };

const whole = await client.messages.create(common);
assert.equal(whole.role, 'assistant');
assert.ok(['end_turn', 'max_tokens'].includes(whole.stop_reason));

const stream = client.messages.stream(common);
let text = '';
stream.on('text', (piece) => { text += piece; });
const last = await stream.finalMessage();
assert.equal(text, whole.content[0].text);
assert.equal(last.usage.output_tokens, whole.usage.output_tokens);

const counted = await client.messages.countTokens({ model: common.model, messages });
assert.equal(counted.input_tokens,
             whole.usage.input_tokens + (whole.usage.cache_read_input_tokens ?? 0));

const tools = [{ name: 'weather', input_schema: {
  type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] } }, required: ['city'] } }];
const called = await client.messages.create({
  ...common, max_tokens: 200, tools, tool_choice: { type: 'tool', name: 'weather' } });
assert.equal(called.stop_reason, 'tool_use');
assert.ok(['Oslo', 'Rome'].includes(called.content.find((x) => x.type === 'tool_use').input.city));

await assert.rejects(client.messages.create({ ...common, max_tokens: -1 }), Anthropic.BadRequestError);
console.log('anthropic: ok');
