package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/** Finds the tokenizer that lies in or beside a checkpoint, in the forms that libraries have. */
final class TokenizerFiles {
  private static final String SETTINGS = "tokenizer_config.json";
  private static final String MERGES = "merges.txt";
  private static final String CHAT_TEMPLATE = "chat_template.jinja";
  private static final List<String> SENTENCE_PIECE =
      List.of("sentencepiece.bpe.model", "spiece.model", "tokenizer.model");
  private static final int LONGEST = 256 << 20;

  private TokenizerFiles() {}

  /** The tokenizer.json that a file is or stands for, and the settings beside it. */
  record Found(byte[] json, JsonNode settings) {}

  /** A tokenizer.json, a vocab.txt of BERT or ESM, or a vocab.json with its merges.txt. */
  static Found read(Path file) throws IOException {
    Path beside = file.resolveSibling(SETTINGS);
    JsonNode settings =
        Files.isRegularFile(beside) ? StrictJson.readTree(beside) : MissingNode.getInstance();
    byte[] bytes = RegularFiles.readAllBytes(file);
    String source = file.toString();
    Path merges = file.resolveSibling(MERGES);
    if (source.endsWith(".txt")) {
      bytes = TokenizerTemplates.tokens(lines(bytes), settings, source);
    } else if (Files.isRegularFile(merges)) {
      JsonNode tree = StrictJson.readTree(bytes, source);
      if (!tree.has("model")) {
        List<String> pairs = lines(RegularFiles.readAllBytes(merges));
        bytes = TokenizerTemplates.byteLevel(tree, pairs, settings, source);
      }
    }
    return new Found(bytes, settings);
  }

  private static List<String> lines(byte[] text) {
    return new String(text, StandardCharsets.UTF_8).lines().map(String::strip).toList();
  }

  /** Of a checkpoint: a file, an archive of Keras, or a directory. */
  static Optional<JsonTokenizer> of(Path checkpoint) {
    boolean isDirectory = Files.isDirectory(checkpoint);
    try {
      Optional<JsonTokenizer> own = isDirectory ? Optional.empty() : inArchive(checkpoint);
      if (own.isPresent()) {
        return own;
      }
      Path folder = isDirectory ? checkpoint : checkpoint.toAbsolutePath().getParent();
      Path json = folder.resolve(JsonTokenizer.FILE);
      if (Files.isRegularFile(json)) {
        JsonNode tree = StrictJson.readTree(json);
        if (tree.has("class_name")) {
          return inPreset(folder, tree);
        }
        return isUnigram(tree) ? Optional.empty() : read(folder, JsonTokenizer.FILE);
      }
      boolean hasMerges = Files.isRegularFile(folder.resolve(MERGES));
      Optional<JsonTokenizer> words = read(folder, "vocab.txt");
      return words.isPresent() || !hasMerges ? words : read(folder, "vocab.json");
    } catch (IOException e) {
      throw DataFile.unreadable(checkpoint, e);
    }
  }

  private static boolean isUnigram(JsonNode tokenizer) {
    return tokenizer.at("/model/type").asText().equals("Unigram");
  }

  /** What lies beside a checkpoint of SentencePiece, which is not read. */
  static Optional<Path> sentencePiece(Path checkpoint) {
    Path folder =
        Files.isDirectory(checkpoint) ? checkpoint : checkpoint.toAbsolutePath().getParent();
    Path json = folder.resolve(JsonTokenizer.FILE);
    if (Files.isRegularFile(json)) {
      return Optional.of(json).filter(file -> isUnigram(StrictJson.readTree(file)));
    }
    var files = SENTENCE_PIECE.stream().map(folder::resolve).filter(Files::isRegularFile);
    return files.findFirst();
  }

  /**
   * The template of conversations beside a checkpoint: in a file of its own, or in the tokenizer's
   * settings, where it may be one of several.
   */
  static Optional<String> chatTemplate(Path checkpoint) {
    Path folder =
        Files.isDirectory(checkpoint) ? checkpoint : checkpoint.toAbsolutePath().getParent();
    Path own = folder.resolve(CHAT_TEMPLATE);
    Path settings = folder.resolve(SETTINGS);
    try {
      if (Files.isRegularFile(own)) {
        return Optional.of(RegularFiles.readString(own));
      } else if (!Files.isRegularFile(settings)) {
        return Optional.empty();
      }
    } catch (IOException e) {
      throw DataFile.unreadable(own, e);
    }
    JsonNode template = StrictJson.readTree(settings).path("chat_template");
    for (JsonNode named : template) {
      if (named.path("name").asText().equals("default")) {
        template = named.path("template");
      }
    }
    return Optional.ofNullable(template.textValue());
  }

  private static Optional<JsonTokenizer> read(Path folder, String name) {
    return Optional.of(folder.resolve(name)).filter(Files::isRegularFile).map(JsonTokenizer::read);
  }

  /** Reads an asset of a name; null for none. */
  private interface Assets {
    byte[] bytes(String name) throws IOException;
  }

  private static Optional<JsonTokenizer> inPreset(Path folder, JsonNode tokenizer)
      throws IOException {
    Path preprocessor = folder.resolve("preprocessor.json");
    JsonNode settings =
        Files.isRegularFile(preprocessor)
            ? StrictJson.readTree(preprocessor)
            : MissingNode.getInstance();
    Path assets = folder.resolve("assets").resolve("tokenizer");
    Assets read =
        name -> {
          Path file = assets.resolve(name);
          return Files.isRegularFile(file) ? RegularFiles.readAllBytes(file) : null;
        };
    return ofKerasHub(tokenizer, settings, read, assets.toString());
  }

  private static Optional<JsonTokenizer> inArchive(Path file) throws IOException {
    if (!file.toString().endsWith(".keras") || !Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try (ZipFile zip = new ZipFile(file.toFile())) {
      byte[] config = bytes(zip, "config\\.json");
      JsonNode whole =
          config == null
              ? MissingNode.getInstance()
              : StrictJson.readTree(config, file + ", config.json");
      JsonNode preprocessor = whole.path("config").path("preprocessor");
      JsonNode tokenizer = preprocessor.path("config").path("tokenizer");
      Assets read = name -> bytes(zip, "assets/(.*/)?tokenizer/" + Pattern.quote(name));
      return ofKerasHub(tokenizer, preprocessor, read, file + ", assets");
    } catch (IllegalArgumentException | ZipException e) { // which the weights' reader reports
      return Optional.empty();
    }
  }

  private static byte[] bytes(ZipFile zip, String name) throws IOException {
    ZipEntry entry = zip.stream().filter(e -> e.getName().matches(name)).findFirst().orElse(null);
    if (entry == null) {
      return null;
    }
    try (InputStream in = zip.getInputStream(entry)) {
      byte[] bytes = in.readNBytes(LONGEST);
      require(bytes.length < LONGEST, "%s, %s: too long", zip.getName(), entry.getName());
      return bytes;
    }
  }

  /** Of word pieces or byte-level BPE; empty where there is none, or a model of SentencePiece. */
  private static Optional<JsonTokenizer> ofKerasHub(
      JsonNode tokenizer, JsonNode preprocessor, Assets assets, String source) throws IOException {
    JsonNode config = tokenizer.path("config");
    String kind = tokenizer.path("class_name").asText();
    ObjectNode settings = JsonNodeFactory.instance.objectNode().put("tokenizer_class", kind);
    byte[] pieces = assets.bytes("vocabulary.txt");
    byte[] vocabulary = assets.bytes("vocabulary.json");
    byte[] merges = assets.bytes(MERGES);
    byte[] json;
    if (pieces != null) {
      json = TokenizerTemplates.wordPiecesOfKerasHub(lines(pieces), config, source);
    } else if (vocabulary != null && merges != null) {
      settings.set("add_prefix_space", config.path("add_prefix_space"));
      settings.put(
          "add_bos_token", preprocessor.path("config").path("add_start_token").asBoolean(false));
      var tokens = StrictJson.readTree(vocabulary, source);
      json = TokenizerTemplates.byteLevel(tokens, lines(merges), settings, source);
    } else {
      return Optional.empty();
    }
    return Optional.of(JsonTokenizer.of(json, source, settings));
  }
}
