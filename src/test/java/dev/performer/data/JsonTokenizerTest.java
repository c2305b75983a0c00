package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTokenizerTest {
  private static final OptionalInt NO_ID = OptionalInt.empty();
  private static final JsonTokenizer.SpecialIds NO_IDS =
      new JsonTokenizer.SpecialIds(NO_ID, NO_ID, NO_ID, NO_ID);

  private static final Path FOLDER = Path.of("src/test/resources/tokenizers");
  private static final ObjectMapper MAPPER = new ObjectMapper();

  @TempDir Path folder;

  private static JsonTokenizer tokenizer(String name) {
    return JsonTokenizer.read(FOLDER.resolve(name).resolve("tokenizer.json"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"wordpiece", "bpe"})
  void givesPythonsIdsAndTexts(String name) throws IOException {
    requireExpected(tokenizer(name), name);
  }

  @Test
  void buildsATokenizerFromAVocabTxt() throws IOException {
    requireExpected(JsonTokenizer.read(FOLDER.resolve("wordpiece/vocab.txt")), "wordpiece");
    Path cased = folder.resolve("vocab.txt");
    Files.copy(FOLDER.resolve("wordpiece/vocab.txt"), cased);
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"do_lower_case\": false}");
    JsonTokenizer tokenizer = JsonTokenizer.read(cased);
    int unknown = tokenizer.vocabulary().unknown().orElseThrow();
    assertThat(tokenizer.encoder().encode("The the")).startsWith(unknown).hasSize(2);
  }

  private static void requireExpected(JsonTokenizer tokenizer, String name) throws IOException {
    JsonNode rows = MAPPER.readTree(FOLDER.resolve(name).resolve("expected.json").toFile());
    assertThat(rows).isNotEmpty();
    for (JsonNode row : rows) {
      int[] ids = MAPPER.convertValue(row.get("ids"), int[].class);
      int[] framed = MAPPER.convertValue(row.get("framed"), int[].class);
      int[] actual = tokenizer.encoder().encode(row.get("text").asText());
      assertThat(actual).as(row.get("text").asText()).isEqualTo(ids);
      assertThat(tokenizer.framed(actual, 1000).ids()).isEqualTo(framed);
      assertThat(tokenizer.decode(ids)).isEqualTo(row.get("decoded").asText());
      assertThat(streamed(tokenizer, ids)).isEqualTo(row.get("decoded").asText());
    }
  }

  private static String streamed(Tokenizer tokenizer, int[] ids) {
    TextStream stream = new TextStream(tokenizer, new int[0]);
    StringBuilder text = new StringBuilder();
    Arrays.stream(ids).forEach(id -> text.append(stream.add(id)));
    return text.append(stream.rest()).toString();
  }

  @Test
  void knowsItsSpecialTokens() {
    JsonTokenizer bert = tokenizer("wordpiece");
    assertThat(bert.label()).isEqualTo("WordPiece");
    assertThat(bert.size()).isEqualTo(300);
    assertThat(bert.vocabulary().pad()).hasValue(0);
    assertThat(bert.vocabulary().unknown()).hasValue(1);
    assertThat(bert.cls()).hasValue(2);
    assertThat(bert.sep()).hasValue(3);
    assertThat(bert.vocabulary().mask()).hasValue(4);
    JsonTokenizer gpt = tokenizer("bpe");
    assertThat(gpt.label()).isEqualTo("BPE");
    assertThat(gpt.prefix()).isEmpty();
    assertThat(gpt.suffix()).isEmpty();
    assertThat(gpt.vocabulary().eos()).hasValue(0);
    assertThat(gpt.vocabulary().mask()).isEmpty();
  }

  @Test
  void cropsTheTextAndKeepsItsEnds() {
    JsonTokenizer bert = tokenizer("wordpiece");
    int[] text = {10, 11, 12, 13};
    assertThat(bert.framed(text, 6).ids()).containsExactly(2, 10, 11, 12, 13, 3);
    Tokenizer.Encoding cropped = bert.framed(text, 4);
    assertThat(cropped.ids()).containsExactly(2, 10, 11, 3);
    assertThat(cropped.start()).isEqualTo(1);
    assertThat(cropped.end()).isEqualTo(3);
    assertThat(cropped.cropped()).isEqualTo(2);
    assertThat(bert.framed(text, 1).ids()).containsExactly(2);
  }

  @Test
  void loneSurrogatesAreNoCharacter() {
    JsonTokenizer gpt = tokenizer("bpe");
    assertThat(gpt.decode(gpt.encoder().encode("a\uD83Db"))).isEqualTo("a\uFFFDb");
  }

  @Test
  void refusesBrokenFiles() throws IOException {
    refused("wordpiece", json -> json.remove("model"), "key model", "is this a tokenizer.json?");
    refused("wordpiece", json -> model(json).put("type", "Magic"), "model.type", "WordPiece");
    refused("wordpiece", json -> vocabulary(json).put("the", -1), "model.vocab", "-1");
    refused("wordpiece", json -> vocabulary(json).put("the", 0), "both have id 0");
    refused("wordpiece", json -> vocabulary(json).put("the", "x"), "model.vocab", "\"x\"");
    refused("wordpiece", json -> vocabulary(json).put("the", 1L << 40), "whole number");
    refused("wordpiece", json -> vocabulary(json).putNull("the"), "whole number", "not empty");
    refused("wordpiece", json -> model(json).put("unk_token", 7), "no tokenizer that can be used");
    refused(
        "wordpiece",
        json -> ((ObjectNode) json.withArray("added_tokens").get(0)).put("id", 99),
        "added_tokens",
        "[PAD]");
    refused("bpe", json -> ((ArrayNode) model(json).get("merges")).add("no such"), "merges");
    refused("bpe", json -> json.put("pre_tokenizer", 3), "no tokenizer that can be used");
    refused("bpe", json -> model(json).remove("vocab"), "model.vocab", "expected an object");
    panics("normalizer", "{\"type\": \"Prepend\", \"prepend\": \"\"}", "Prepend");
    panics("normalizer", "{\"prepend\": \"\"}", "Prepend");
    panics(
        "normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"\"}", "Precompiled");
    for (String regex : new String[] {"", "x*", "(?=a)", "\\\\b"}) {
      String stage =
          "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \""
              + regex
              + "\"}, \"content\": \"x\"}";
      panics(
          "normalizer",
          "{\"type\": \"Sequence\", \"normalizers\": [" + stage + "]}",
          "matches an empty text");
    }
    panics("pre_tokenizer", "{\"type\": \"FixedLength\", \"length\": 0}", "FixedLength");
    panics(
        "decoder", "{\"type\": \"Strip\", \"content\": \"T\", \"start\": 0, \"stop\": 3}", "Strip");
    refused("bpe", json -> model(json).put("continuing_subword_prefix", "##########"), "merges");
    byte[] whole = Files.readAllBytes(FOLDER.resolve("bpe/tokenizer.json"));
    for (int length : new int[] {0, 1, 100, whole.length / 2, whole.length - 1}) {
      refused(Arrays.copyOf(whole, length));
    }
    refused("[".repeat(100_000).getBytes(StandardCharsets.UTF_8));
    refused("null".getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void aVocabTxtMustBeBerts() throws IOException {
    Path file = Files.writeString(folder.resolve("vocab.txt"), "[PAD]\na\n[UNK]\n");
    assertThatThrownBy(() -> JsonTokenizer.read(file))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("vocab.txt")
        .hasMessageContaining("[CLS], [SEP]");
    Files.writeString(file, "[UNK]\n[CLS]\n[SEP]\na\na\n");
    assertThatThrownBy(() -> JsonTokenizer.read(file)).hasMessageContaining("line 5: 'a'");
    Files.write(file, new byte[] {(byte) 0xff, (byte) 0xfe, 0});
    assertThatThrownBy(() -> JsonTokenizer.read(file)).isInstanceOf(PerformerException.class);
  }

  /** Whatever stands in the file: a tokenizer that works, or one clear line. */
  @ParameterizedTest
  @ValueSource(strings = {"wordpiece", "bpe"})
  void survivesMutations(String name) throws IOException {
    byte[] whole = Files.readAllBytes(FOLDER.resolve(name).resolve("tokenizer.json"));
    SplittableRandom random = new SplittableRandom(Integer.getInteger("seed", 1));
    int loaded = 0;
    int refused = 0;
    for (int i = 0; i < Integer.getInteger("mutations", 300); i++) {
      byte[] bytes = random.nextInt(3) == 0 ? bytes(whole, random) : values(whole, random);
      try {
        JsonTokenizer tokenizer = JsonTokenizer.of(bytes, "mutant.json", NO_IDS);
        int[] ids = tokenizer.encoder().encode("The attention, Café 東京 [MASK]");
        tokenizer.decode(ids);
        loaded++;
      } catch (PerformerException e) {
        assertThat(e.getMessage()).contains("mutant.json").doesNotContain("\n");
        refused++;
      }
    }
    assertThat(loaded).isGreaterThan(20);
    assertThat(refused).isGreaterThan(20);
  }

  private static byte[] bytes(byte[] whole, SplittableRandom random) {
    byte[] copy = whole.clone();
    for (int n = 1 + random.nextInt(4); n > 0; n--) {
      copy[random.nextInt(random.nextBoolean() ? 1500 : copy.length)] = (byte) random.nextInt(256);
    }
    return copy;
  }

  private static final String[] PARTS = {"normalizer", "pre_tokenizer", "decoder"};

  /** Stages of which some make sense in some places only, and some nowhere. */
  private static final String[] STAGES = {
    "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}",
    "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}",
    "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"CAAAAP////8AAAAAYWJj\"}",
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\"},\"content\":\"x\"}",
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"x\"}",
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"x\"}",
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?=a)|b*\"},\"behavior\":\"Isolated\",\"invert\":true}",
    "{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"MergedWithNext\",\"invert\":false}",
    "{\"type\":\"Metaspace\",\"replacement\":\"\",\"prepend_scheme\":\"always\"}",
    "{\"type\":\"Metaspace\",\"replacement\":\"ab\",\"prepend_scheme\":\"first\"}",
    "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"split\":true}",
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":99999999,\"stop\":99999999}",
    "{\"type\":\"Strip\",\"content\":\"T\",\"start\":3,\"stop\":3}",
    "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}",
    "{\"type\":\"CTC\",\"pad_token\":\"\",\"word_delimiter_token\":\"\",\"cleanup\":true}",
    "{\"type\":\"WordPiece\",\"prefix\":\"\",\"cleanup\":true}",
    "{\"type\":\"BPEDecoder\",\"suffix\":\"\"}",
    "{\"type\":\"ByteFallback\"}",
    "{\"type\":\"Fuse\"}",
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":false}",
    "{\"type\":\"ByteLevel\"}",
    "{\"type\":\"Digits\",\"individual_digits\":true}",
    "{\"type\":\"FixedLength\",\"length\":0}",
    "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\"}",
    "{\"type\":\"UnicodeScripts\"}",
    "{\"type\":\"Prepend\",\"prepend\":\"\"}",
    "{\"type\":\"Nmt\"}",
    "{\"type\":\"Sequence\",\"normalizers\":[],\"pretokenizers\":[],\"decoders\":[]}",
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Strip\",\"content\":\" \",\"start\":5,\"stop\":0}]}"
  };

  /** JSON that stays JSON, with a value removed, replaced or moved elsewhere. */
  private static byte[] values(byte[] whole, SplittableRandom random) throws IOException {
    ObjectNode root = (ObjectNode) MAPPER.readTree(whole);
    if (random.nextInt(4) == 0) {
      String part = PARTS[random.nextInt(PARTS.length)];
      root.set(part, MAPPER.readTree(STAGES[random.nextInt(STAGES.length)]));
    }
    JsonNode at = root;
    for (int depth = 0; depth < 6; depth++) {
      if (at instanceof ObjectNode object && !object.isEmpty()) {
        var names = object.properties().stream().map(e -> e.getKey()).toList();
        String key = names.get(random.nextInt(Math.min(names.size(), 12)));
        if (random.nextInt(3) == 0 || !object.get(key).isContainerNode()) {
          JsonNode value = replacement(random, root);
          if (value == null) {
            object.remove(key);
          } else {
            object.set(key, value);
          }
          break;
        }
        at = object.get(key);
      } else if (at instanceof ArrayNode array && !array.isEmpty()) {
        int index = random.nextInt(Math.min(array.size(), 8));
        if (random.nextInt(3) == 0 || !array.get(index).isContainerNode()) {
          JsonNode value = replacement(random, root);
          if (value == null) {
            array.remove(index);
          } else {
            array.set(index, value);
          }
          break;
        }
        at = array.get(index);
      }
    }
    return MAPPER.writeValueAsBytes(root);
  }

  private static JsonNode replacement(SplittableRandom random, ObjectNode root) {
    return switch (random.nextInt(10)) {
      case 0 -> null;
      case 1 -> MAPPER.nullNode();
      case 2 -> MAPPER.getNodeFactory().numberNode(-1);
      case 3 -> MAPPER.getNodeFactory().numberNode(Long.MAX_VALUE);
      case 4 -> MAPPER.getNodeFactory().textNode("");
      case 5 -> MAPPER.getNodeFactory().textNode("ByteLevel");
      case 6 -> MAPPER.createArrayNode().add(1).add("x");
      case 7 -> MAPPER.createObjectNode().put("type", "Sequence");
      case 8 -> root.path("post_processor").deepCopy();
      default -> MAPPER.getNodeFactory().booleanNode(true);
    };
  }

  /** What would end the process if the native library saw it. */
  private static void panics(String key, String stage, String text) throws IOException {
    JsonNode tree = MAPPER.readTree(stage);
    refused("bpe", json -> json.set(key, tree), "key " + key, text);
  }

  private static ObjectNode model(ObjectNode json) {
    return (ObjectNode) json.get("model");
  }

  private static ObjectNode vocabulary(ObjectNode json) {
    return (ObjectNode) model(json).get("vocab");
  }

  private static void refused(String name, Consumer<ObjectNode> change, String... texts)
      throws IOException {
    ObjectNode json =
        (ObjectNode) MAPPER.readTree(FOLDER.resolve(name).resolve("tokenizer.json").toFile());
    change.accept(json);
    refused(MAPPER.writeValueAsBytes(json), texts);
  }

  private static void refused(byte[] bytes, String... texts) {
    assertThatThrownBy(() -> JsonTokenizer.of(bytes, "t.json", NO_IDS))
        .isInstanceOf(PerformerException.class)
        .hasMessageStartingWith("t.json")
        .hasMessageNotContaining("\n")
        .satisfies(e -> assertThat(List.of(texts)).allMatch(e.getMessage()::contains));
  }
}
