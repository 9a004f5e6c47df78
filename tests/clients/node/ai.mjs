// The SDK "ai" with its providers for OpenAI (both APIs), Anthropic and Google.
import { generateText, stepCountIs, streamText, tool } from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { z } from "zod";
import { question, models, tell, weather } from "./common.mjs";

const base = process.env.BASE_URL;
const openai = createOpenAI({ baseURL: `${base}/v1`, apiKey: "any" });
const anthropic = createAnthropic({ baseURL: `${base}/v1`, apiKey: "any" });
const google = createGoogleGenerativeAI({ baseURL: `${base}/v1beta`, apiKey: "any" });
const apis = {
  responses: (model) => openai(model),
  chat: (model) => openai.chat(model),
  anthropic: (model) => anthropic(model),
  google: (model) => google(model),
};
const tools = {
  weather: tool({
    description: "The weather.", inputSchema: z.object({ city: z.string() }), execute: weather,
  }),
};

async function loop(model, stream) {
  const asked = { model, tools, stopWhen: stepCountIs(4), prompt: question, maxRetries: 0 };
  let text, response;
  if (stream) {
    let failure;
    const result = streamText({ ...asked, onError: ({ error }) => { failure = error; } });
    await result.consumeStream();
    if (failure) throw failure;
    [text, response] = [await result.text, await result.response];
  } else {
    ({ text, response } = await generateText(asked));
  }
  const messages = [
    { role: "user", content: question }, ...response.messages,
    { role: "user", content: "Thank you." },
  ];
  const last = await generateText({ model, messages, maxRetries: 0 });
  return [text, last.text];
}

for (const model of models) {
  for (const stream of [false, true]) {
    for (const [name, of] of Object.entries(apis)) {
      try {
        tell(name, model, stream, await loop(of(model), stream));
      } catch (error) {
        throw new Error(`${name} ${model}: ${error.responseBody ?? error}`);
      }
    }
  }
}
