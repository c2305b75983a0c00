package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.testing.ErrorMessages;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;

/** Checkpoints that somebody else made, and did not mean well. */
class HostileCheckpointTest {
  @TempDir Path folder;

  /** What stands outside of the folder stays outside of every message, too. */
  @Test
  void noIncludeLeavesTheFolder() throws IOException {
    Path secret = Files.writeString(folder.resolve("secret"), "root:x:0:0:root:/root:/bin/bash\n");
    Path inside = Files.createDirectory(folder.resolve("checkpoint"));
    Path gin = inside.resolve("config.gin");
    for (String named : new String[] {secret.toString(), "../secret", "./a/../../secret"}) {
      Files.writeString(gin, "a.b = 1\ninclude '" + named + "'\n");
      String message = ErrorMessages.of(() -> GinConfig.read(gin), "config.gin line 2");
      assertThat(message).contains("outside").doesNotContain("root");
    }
    Files.createSymbolicLink(inside.resolve("link.gin"), secret);
    Files.writeString(gin, "include 'link.gin'\n");
    assertThat(ErrorMessages.of(() -> GinConfig.read(gin), "config.gin line 1"))
        .contains("outside")
        .doesNotContain("root");
    Files.delete(gin);
    Files.createSymbolicLink(gin, secret); // read, as links to one's own files are, but not quoted
    assertThat(ErrorMessages.of(() -> GinConfig.read(gin), "config.gin line 1"))
        .doesNotContain("root");
  }

  @ParameterizedTest
  @ValueSource(strings = {"../outside/ckpt", "/elsewhere/../../outside/ckpt", "a/../../ckpt"})
  void noStateFileLeavesTheFolder(String named) throws IOException {
    Path outside = Files.createDirectory(folder.resolve("outside"));
    Files.writeString(outside.resolve("ckpt.index"), "");
    Files.writeString(folder.resolve("ckpt.index"), "");
    Path inside = Files.createDirectory(folder.resolve("inside"));
    Files.writeString(inside.resolve("checkpoint"), "model_checkpoint_path: \"" + named + "\"\n");
    ErrorMessages.of(() -> TensorFlowCheckpoint.open(inside), inside + "/checkpoint");
  }

  @Test
  void complexWeightsAreNoWeights() throws IOException {
    MessageBufferPacker array = MessagePack.newDefaultBufferPacker();
    array.packArrayHeader(3).packArrayHeader(1).packInt(2).packString("complex64");
    array.packBinaryHeader(16).writePayload(new byte[16]);
    MessageBufferPacker map = MessagePack.newDefaultBufferPacker();
    byte[] bytes = array.toByteArray();
    map.packMapHeader(1).packString("w").packExtensionTypeHeader((byte) 1, bytes.length);
    map.writePayload(bytes);
    Path file = Files.write(folder.resolve("checkpoint_1"), map.toByteArray());
    try (FlaxCheckpoint checkpoint = FlaxCheckpoint.open(file)) {
      assertThat(checkpoint.tensors().get("w").type()).isEqualTo("complex64");
      assertThat(checkpoint.read("w").shape()).containsExactly(2, 2);
      WeightMap weights = new WeightMap(checkpoint, "test", ImportOptions.NONE);
      weights.put("final_norm/scale", "w", WeightMap.Layout.SAME);
      assertThat(ErrorMessages.of(() -> weights.finish(SMALL), file.toString()))
          .contains("w is complex64, but final_norm/scale is real");
    }
  }

  private static final dev.performer.model.PerformerConfig SMALL =
      dev.performer.model.PerformerConfig.of(
          dev.performer.data.StrictJson.tree(
              Map.of(
                  "preset",
                  "performer",
                  "layers",
                  1,
                  "hiddenSize",
                  2,
                  "heads",
                  1,
                  "mlpSize",
                  2,
                  "vocabularySize",
                  30)),
          "test");

  /** Each of msgpack's formats at each place of a small file. */
  @Test
  void brokenMsgpackSaysWhatIsBroken() throws IOException {
    MessageBufferPacker packer = MessagePack.newDefaultBufferPacker();
    packer.packMapHeader(2).packString("a").packInt(7).packString("b").packArrayHeader(1);
    packer.packString("text");
    byte[] whole = packer.toByteArray();
    Path file = folder.resolve("checkpoint_1");
    for (int at = 0; at < whole.length; at++) {
      for (int value = 0x80; value < 0x100; value++) {
        byte[] changed = whole.clone();
        changed[at] = (byte) value;
        Files.write(file, changed);
        try (FlaxCheckpoint opened = FlaxCheckpoint.open(file)) {
          opened.tensors().keySet().forEach(opened::read);
        } catch (RuntimeException e) {
          assertThat(ErrorMessages.fault(e.getMessage(), file.toString()))
              .as("byte %d is %x: %s", at, value, e.getMessage())
              .isNull();
        }
      }
    }
  }

  @Test
  void anEmptyNameIsAName() throws IOException {
    Path file = folder.resolve("model.safetensors");
    byte[] header =
        "{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
            .getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(12 + header.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(header.length).put(header).putFloat(2.5f);
    Files.write(file, bytes.array());
    try (WeightFile opened = Checkpoints.open(file)) {
      assertThat(opened.tensors()).containsOnlyKeys("");
      assertThat(opened.read("").floats()).containsExactly(2.5f);
    }
    Files.write(file, "{\"".getBytes(StandardCharsets.UTF_8));
    ErrorMessages.of(() -> Checkpoints.open(file), file.toString());
  }

  @Test
  void longQuotesAreCut() throws IOException {
    Path file = folder.resolve("model.safetensors");
    String name = "n".repeat(50_000);
    for (String json :
        new String[] {
          "{\"a\":{\"" + name + "\":1}}",
          "{\"a\":{\"dtype\":\"" + name + "\"}}",
          "{\"" + name + "\":[]}",
          "{" + name + "}",
          "[]",
          "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,"
              + "9".repeat(30_000)
              + "]}}"
        }) {
      byte[] header = json.getBytes(StandardCharsets.UTF_8);
      ByteBuffer bytes = ByteBuffer.allocate(8 + header.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.putLong(header.length).put(header);
      Files.write(file, bytes.array());
      assertThat(ErrorMessages.of(() -> Checkpoints.open(file), file.toString()))
          .hasSizeLessThan(1000);
    }
  }

  @Test
  void whatDoesNotFitIsCutAfterTen() throws IOException {
    Map<String, Object> tensors = new LinkedHashMap<>();
    IntStream.range(0, 60)
        .forEach(
            i ->
                tensors.put(
                    "x" + i,
                    Map.of("dtype", "F32", "shape", new int[] {0}, "data_offsets", new int[2])));
    byte[] header =
        dev.performer.data.StrictJson.tree(tensors).toString().getBytes(StandardCharsets.UTF_8);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
    out.write(header);
    Path file = Files.write(folder.resolve("model.safetensors"), out.toByteArray());
    try (WeightFile opened = Checkpoints.open(file)) {
      WeightMap weights = new WeightMap(opened, "test", ImportOptions.NONE);
      String message = ErrorMessages.of(() -> weights.finish(SMALL), file.toString());
      assertThat(message).containsPattern("and \\d\\d more").hasSizeLessThan(2000);
      assertThat(
              ErrorMessages.of(
                  () -> NamingScheme.map(opened, ImportOptions.builder().build()), file.toString()))
          .hasSizeLessThan(1000);
    }
  }

  @ParameterizedTest
  @Timeout(60)
  @ValueSource(
      strings = {
        "checkpoint_1", "x.msgpack", "model.safetensors", "model.safetensors.index.json", "x.h5",
        "x.keras", "x.npz", "ckpt.index", "config.gin", "config.json"
      })
  void aPipeIsNotWaitedFor(String name) throws Exception {
    Path pipe = folder.resolve(name);
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    if (name.startsWith("config")) {
      Path weights =
          Files.copy(
              Path.of("src/test/resources/reference/jax/protein_lm/lm_relu/checkpoint_300"),
              folder.resolve("checkpoint_300"));
      ErrorMessages.of(
          () -> Checkpoints.load(weights, ImportOptions.builder().build()), folder.toString());
    } else {
      ErrorMessages.of(() -> Checkpoints.open(pipe), folder.toString());
    }
  }
}
