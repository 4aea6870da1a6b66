export type { ChatMessage } from './chat-template.js';
export { createTokenizer, type Tokenizer } from './tokenizer.js';
