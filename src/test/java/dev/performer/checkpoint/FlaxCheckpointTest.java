package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.CpuLimit;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.testing.ReferenceCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class FlaxCheckpointTest {
  private static final Path FOLDER = ReferenceCase.directory("/reference/jax/flax_msgpack");

  /** What is odd but means one thing only. */
  private static final Set<String> SENSIBLE =
      Set.of("bin_keys", "int_keys", "deep_map_500", "npscalar_nonscalar_payload");

  @ParameterizedTest
  @ValueSource(strings = {"dtypes", "chunked", "tuple_list_to_bytes", "list_direct"})
  void readsEveryLeaf(String name) {
    Map<String, NpyArray> expected = Npz.read(FOLDER.resolve(name + ".npz"));
    try (FlaxCheckpoint file = FlaxCheckpoint.open(FOLDER.resolve(name + ".msgpack"))) {
      expected.forEach(
          (key, array) -> {
            NpyArray found = file.read(key);
            assertThat(found.shape()).as(key).isEqualTo(array.shape());
            assertThat(found.doubles()).as(key).isEqualTo(array.doubles());
          });
      assertThat(file.tensors().keySet()).containsAll(expected.keySet());
      file.tensors().forEach((key, info) -> assertThat(info.bytes()).isNotNegative());
    }
  }

  @Test
  void saysTypesAsTheFileHasThem() {
    try (FlaxCheckpoint file = FlaxCheckpoint.open(FOLDER.resolve("dtypes.msgpack"))) {
      assertThat(file.tensors().get("bf16")).hasToString("bfloat16[2, 3]");
      assertThat(file.tensors().get("f16")).hasToString("float16[2, 2]");
      assertThat(file.tensors().get("py_bool")).hasToString("bool[]");
      assertThat(file.read("py_bool").longs()).containsExactly(1);
      assertThatThrownBy(() -> file.read("absent"))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("absent");
    }
  }

  @Test
  void readsALoneArray() {
    try (FlaxCheckpoint file = FlaxCheckpoint.open(FOLDER.resolve("root_array.msgpack"))) {
      assertThat(file.read("").floats())
          .isEqualTo(Npz.read(FOLDER.resolve("root_array.npz")).get("root").floats());
    }
  }

  static Stream<Path> hostile() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER.resolve("hostile"))) {
      List<Path> all = files.sorted().toList();
      assertThat(all).hasSize(45);
      return all.stream();
    }
  }

  @ParameterizedTest
  @MethodSource("hostile")
  void refusesWhatIsBroken(Path path) {
    CpuLimit.within(Duration.ofSeconds(5), path.toString(), () -> refuses(path));
  }

  private static void refuses(Path path) {
    String name = path.getFileName().toString().replace(".msgpack", "");
    if (SENSIBLE.contains(name)) {
      try (FlaxCheckpoint file = FlaxCheckpoint.open(path)) {
        file.tensors().keySet().forEach(file::read);
      }
      return;
    }
    assertThatThrownBy(() -> FlaxCheckpoint.open(path).close())
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(path.getFileName().toString())
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1))
        .satisfies(e -> assertThat(e.getMessage().length()).isLessThan(600));
    assertThatThrownBy(() -> Checkpoints.load(path, ImportOptions.none()))
        .isInstanceOf(PerformerException.class);
  }

  @Test
  void findsTheNewest(@TempDir Path folder) throws IOException {
    Path source = FOLDER.resolve("tuple_list_to_bytes.msgpack");
    Files.copy(source, folder.resolve("checkpoint_9"));
    Files.copy(source, folder.resolve("checkpoint_10"));
    Files.writeString(folder.resolve("checkpoint_11tmp"), "half");
    assertThat(FlaxCheckpoint.locate(folder)).contains(folder.resolve("checkpoint_10"));
    Path orbax = Files.createDirectory(folder.resolve("checkpoint_100"));
    assertThatThrownBy(() -> FlaxCheckpoint.locate(folder))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("sharded");
    Files.copy(source, orbax.resolve("checkpoint"));
    assertThat(FlaxCheckpoint.locate(folder)).contains(orbax.resolve("checkpoint"));
    try (WeightFile file = Checkpoints.open(orbax)) {
      assertThat(file.tensors()).containsKey("lst/11");
      assertThat(file.folder()).isEqualTo(folder);
    }
  }

  @Test
  void aTruncatedFileIsRefusedAtEveryLength(@TempDir Path folder) throws IOException {
    byte[] whole = Files.readAllBytes(FOLDER.resolve("chunked.msgpack"));
    Path file = folder.resolve("checkpoint_1");
    for (int n = 0; n < whole.length; n++) {
      Files.write(file, Arrays.copyOf(whole, n));
      assertThatThrownBy(() -> FlaxCheckpoint.open(file).close())
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("checkpoint_1");
    }
  }
}
