// usage: ai.mjs BASE_URL. Drives a server of llama-scout-mini with the AI SDK and with LangChain.
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateObject, generateText, streamText } from 'ai';
import { z } from 'zod';

const [baseURL, apiKey] = [process.argv[2], 'key-of-the-test'];
const provider = createOpenAICompatible({
  name: 'corral', baseURL, apiKey, supportsStructuredOutputs: true });
const common = { model: provider('llama-scout-mini'), prompt: 'Tell me a story.', temperature: 0,
                 maxOutputTokens: 24, maxRetries: 0 };
const whole = await generateText(common);
assert.ok(whole.text.length > 0);
let text = '';
for await (const piece of streamText(common).textStream) text += piece;
assert.equal(text, whole.text);

const schema = z.object({ mood: z.enum(['happy', 'sad']), age: z.number().int().min(1).max(99) });
const { object } = await generateObject({ ...common, maxOutputTokens: 200, schema });
assert.ok(['happy', 'sad'].includes(object.mood) && object.age >= 1 && object.age <= 99);

const chat = new ChatOpenAI({ model: 'llama-scout-mini', apiKey, configuration: { baseURL },
                              temperature: 0, maxTokens: 24, maxRetries: 0 });
const answer = await chat.invoke('Tell me a story.');
assert.equal(answer.content, whole.text);
let streamed = '';
for await (const piece of await chat.stream('Tell me a story.')) streamed += piece.content;
assert.equal(streamed, whole.text);
console.log('ai and langchain: ok');
