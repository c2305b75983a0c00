/*
 * Runs a signature of a SavedModel with TensorFlow's C library: predict MODEL SIGNATURE ID...
 *
 * The signature takes token ids, int32 [B, L], and gives logits, float32 [B, L, V]; both are found by their names in the signature, "tokens" and
 * "logits". Prints the logits' shape, the likeliest token at each position, and the largest logit.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void fail(const char *what, const char *why) {
  fprintf(stderr, "predict: %s: %s\n", what, why);
  exit(1);
}

static void check(const char *what, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* A part of a protocol buffer. */
typedef struct {
  const uint8_t *at, *end;
} Bytes;

static uint64_t varint(Bytes *in) {
  uint64_t value = 0;
  for (int shift = 0; in->at < in->end && shift < 64; shift += 7) {
    uint8_t byte = *in->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  fail("the model's description", "it is cut off");
  return 0;
}

/* The next field's number, 0 at the end; content is empty unless it has a length. */
static int next_field(Bytes *in, Bytes *content) {
  if (in->at == in->end) return 0;
  uint64_t key = varint(in), size;
  content->at = content->end = in->at;
  switch (key & 7) {
    case 0: varint(in); return (int)(key >> 3);
    case 1: size = 8; break;
    case 2: size = varint(in); break;
    case 5: size = 4; break;
    default: fail("the model's description", "it has a field of an unknown kind"); return 0;
  }
  if (size > (uint64_t)(in->end - in->at)) fail("the model's description", "it is cut off");
  content->at = in->at;
  content->end = in->at += size;
  return (int)(key >> 3);
}

static int is(Bytes text, const char *name) {
  size_t size = (size_t)(text.end - text.at);
  return size == strlen(name) && memcmp(text.at, name, size) == 0;
}

/* The value of a key in a map that is the field of a message: entries of key = 1, value = 2. */
static int lookup(Bytes message, int field, const char *name, Bytes *value) {
  Bytes entry, part;
  for (int number; (number = next_field(&message, &entry)) != 0;) {
    Bytes key = {NULL, NULL}, found = {NULL, NULL};
    if (number != field) continue;
    for (int inner; (inner = next_field(&entry, &part)) != 0;) {
      if (inner == 1) key = part;
      if (inner == 2) found = part;
    }
    if (key.at != NULL && is(key, name)) {
      *value = found;
      return 1;
    }
  }
  return 0;
}

/* The graph's tensor behind an input (field 1) or output (field 2) of a SignatureDef: the first field of its TensorInfo, "node:0". */
static TF_Output tensor(TF_Graph *graph, Bytes signature, int field, const char *name) {
  Bytes info, text = {NULL, NULL}, part;
  if (!lookup(signature, field, name, &info)) fail(name, "the signature has no such tensor");
  for (int number; (number = next_field(&info, &part)) != 0;) {
    if (number == 1) text = part;
  }
  char node[512];
  size_t size = (size_t)(text.end - text.at);
  if (text.at == NULL || size >= sizeof node) fail(name, "it has no name in the graph");
  memcpy(node, text.at, size);
  node[size] = 0;
  char *colon = strrchr(node, ':');
  int index = colon == NULL ? 0 : atoi(colon + 1);
  if (colon != NULL) *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, node), index};
  if (output.oper == NULL) fail(node, "the graph has no such operation");
  return output;
}

int main(int count, char **arguments) {
  if (count < 4) {
    fprintf(stderr, "usage: predict MODEL SIGNATURE ID...\n");
    return 2;
  }
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *meta = TF_NewBuffer(); /* MetaGraphDef */
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, meta, status);
  check(arguments[1], status);

  enum { SIGNATURES = 5, INPUTS = 1, OUTPUTS = 2 };
  Bytes model = {meta->data, (const uint8_t *)meta->data + meta->length}, signature;
  if (!lookup(model, SIGNATURES, arguments[2], &signature)) fail(arguments[2], "the model has no such signature");
  TF_Output in = tensor(graph, signature, INPUTS, "tokens"), out = tensor(graph, signature, OUTPUTS, "logits");

  int64_t shape[] = {1, count - 3};
  TF_Tensor *tokens = TF_AllocateTensor(TF_INT32, shape, 2, (size_t)shape[1] * sizeof(int32_t)), *logits = NULL;
  for (int i = 0; i < shape[1]; i++) ((int32_t *)TF_TensorData(tokens))[i] = atoi(arguments[i + 3]);
  TF_SessionRun(session, NULL, &in, &tokens, 1, &out, &logits, 1, NULL, 0, NULL, status);
  check(arguments[2], status);
  if (TF_TensorType(logits) != TF_FLOAT || TF_NumDims(logits) != 3) fail("logits", "they are not float32 [B, L, V]");

  int64_t length = TF_Dim(logits, 1), vocabulary = TF_Dim(logits, 2);
  const float *values = TF_TensorData(logits);
  float largest = values[0];
  printf("logits %d %d %d\nlikeliest", (int)TF_Dim(logits, 0), (int)length, (int)vocabulary);
  for (int64_t i = 0; i < length; i++) {
    const float *row = values + i * vocabulary;
    int64_t best = 0;
    for (int64_t j = 1; j < vocabulary; j++) {
      if (row[j] > row[best]) best = j;
    }
    if (row[best] > largest) largest = row[best];
    printf(" %d", (int)best);
  }
  printf("\nlargest %.4f\n", largest);

  TF_DeleteTensor(tokens);
  TF_DeleteTensor(logits);
  TF_DeleteBuffer(meta);
  TF_CloseSession(session, status);
  check("closing", status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
