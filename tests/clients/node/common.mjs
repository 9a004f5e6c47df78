// What all loops ask, and how they tell what they got: a line of JSON each.
export const question = "What is the weather in Paris?";
export const models = process.env.MODELS.split(",");
export const schema = {
  type: "object", properties: { city: { type: "string" } }, required: ["city"],
  additionalProperties: false,
};

export async function weather({ city }) {
  return `sunny in ${city}`;
}

export function tell(api, model, stream, texts) {
  console.log(JSON.stringify([api, model, stream ? "streamed" : "whole", texts]));
}
