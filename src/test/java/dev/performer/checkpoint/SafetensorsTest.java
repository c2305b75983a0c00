package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The format, its element types, and files that lie. */
class SafetensorsTest {
  @TempDir Path folder;

  private Path write(String header, byte[] data) throws IOException {
    byte[] json = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    return write(json.length, json, data);
  }

  private Path write(long length, byte[] json, byte[] data) throws IOException {
    ByteBuffer all =
        ByteBuffer.allocate(8 + json.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    all.putLong(length).put(json).put(data);
    return Files.write(folder.resolve("x.safetensors"), all.array());
  }

  @ParameterizedTest
  @CsvSource({
    "F16, 003c 00bc 0100 007c, 1 -1 5.9604645E-8 Infinity",
    "BF16, 803f 80bf 4940, 1 -1 3.140625",
    "F8_E5M2, 3c bc 01, 1 -1 1.5258789E-5",
    "F8_E4M3, 38 b8 7e 01, 1 -1 448 0.001953125",
    "F32, 0000803f, 1",
    "F64, 000000000000f03f, 1",
    "I64, feffffffffffffff, -2",
    "U32, ffffffff, 4294967295",
    "I16, feff, -2",
    "U8, ff 01, 255 1",
    "BOOL, 01 00, 1 0"
  })
  void types(String type, String hex, String values) throws IOException {
    byte[] data = java.util.HexFormat.of().parseHex(hex.replace(" ", ""));
    String[] expected = values.split(" ");
    String header =
        "{'__metadata__':{'a':'b'},'t':{'dtype':'%s','shape':[%d],'data_offsets':[0,%d]}}  "
            .formatted(type, expected.length, data.length);
    try (SafetensorsFile file = SafetensorsFile.open(write(header, data))) {
      double[] found = file.read("t").doubles();
      assertThat(found).hasSameSizeAs(expected);
      for (int i = 0; i < found.length; i++) {
        assertThat((float) found[i]).isEqualTo(Float.parseFloat(expected[i]));
      }
      assertThat(file.metadata).containsEntry("a", "b");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},"
            + "'b':{'dtype':'U8','shape':[4],'data_offsets':[2,6]}}; overlaps",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},"
            + "'b':{'dtype':'U8','shape':[2],'data_offsets':[6,8]}}; gap",
        "{'a':{'dtype':'U8','shape':[9],'data_offsets':[0,9]}}; truncated",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]}}; end at byte 4",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[4,8]},"
            + "'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]}}; Duplicate",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0,8]}}; do not hold",
        "{'a':{'dtype':'F32','shape':[9223372036854775807,2],'data_offsets':[0,8]}}; large",
        "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}}; negative",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}; do not hold",
        "{'a':{'dtype':'F31','shape':[2],'data_offsets':[0,8]}}; not supported",
        "{'a':{'dtype':'F32','shape':[2.5],'data_offsets':[0,8]}}; expected",
        "{'a':{'dtype':'F32','shape':[2]}}; expected",
        "{'a':7}; expected",
        "[]; expected",
        "{'a':{; JSON"
      })
  void lies(String header, String reason) throws IOException {
    Path file = write(header, new byte[8]);
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("x.safetensors")
        .hasMessageContaining(reason);
  }

  @ParameterizedTest
  @CsvSource({"-1", "9223372036854775807", "100000000000", "0"})
  void headerLength(long length) throws IOException {
    Path file = write(length, "{}".getBytes(StandardCharsets.UTF_8), new byte[8]);
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("claims");
  }

  @Test
  void deepNesting() throws IOException {
    Path file = write("{'a':" + "[".repeat(10_000), new byte[0]);
    assertThatThrownBy(() -> SafetensorsFile.open(file)).isInstanceOf(PerformerException.class);
  }

  @Test
  void shards() throws IOException {
    Path one = write("{'a':{'dtype':'U8','shape':[1],'data_offsets':[0,1]}}", new byte[] {7});
    Files.move(one, folder.resolve("model-1.safetensors"));
    Path two = write("{'b':{'dtype':'U8','shape':[1],'data_offsets':[0,1]}}", new byte[] {8});
    Files.move(two, folder.resolve("model-2.safetensors"));
    Path index = folder.resolve("model.safetensors.index.json");
    Files.writeString(
        index,
        "{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\"}}");
    try (WeightFile file = Checkpoints.open(folder)) {
      assertThat(file.read("a").ints()).containsExactly(7);
      assertThat(file.read("b").ints()).containsExactly(8);
    }
    Files.writeString(index, "{\"weight_map\": {\"a\": \"../model-1.safetensors\"}}");
    assertThatThrownBy(() -> Checkpoints.open(folder))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("beside the index");
  }
}
