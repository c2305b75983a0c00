package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.CpuLimit;
import dev.performer.PerformerException;
import dev.performer.testing.ReferenceCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Damaged files are loaded or refused: nothing else happens, and soon. */
class FlaxMutationTest {
  private static final Path FOLDER = ReferenceCase.directory("/reference/jax");

  @ParameterizedTest
  @ValueSource(
      strings = {
        "flax_msgpack/dtypes.msgpack",
        "flax_msgpack/chunked.msgpack",
        "flax_msgpack/tuple_list_to_bytes.msgpack",
        "flax_msgpack/list_direct.msgpack",
        "protein_lm/lm_relu/checkpoint_300",
        "protein_lm/lm_relu/config.gin",
        "lra/encoder_mean_softmax/checkpoint_3"
      })
  void fewMutations(String name, @TempDir Path folder) throws IOException {
    mutate(name, folder, 200);
  }

  @Tag("slow")
  @ParameterizedTest
  @ValueSource(
      strings = {
        "flax_msgpack/dtypes.msgpack",
        "flax_msgpack/chunked.msgpack",
        "flax_msgpack/tuple_list_to_bytes.msgpack",
        "flax_msgpack/list_direct.msgpack",
        "flax_msgpack/root_array.msgpack",
        "protein_lm/lm_relu/checkpoint_300",
        "protein_lm/bert_softmax_favor/config.gin",
        "lra/encoder_mean_softmax/checkpoint_3"
      })
  void manyMutations(String name, @TempDir Path folder) throws IOException {
    mutate(name, folder, 2000);
  }

  private static void mutate(String name, Path folder, int times) throws IOException {
    Path source = FOLDER.resolve(name);
    byte[] whole = Files.readAllBytes(source);
    boolean isGin = name.endsWith(".gin");
    Path target = folder.resolve(isGin ? "config.gin" : "checkpoint_300");
    Path beside = source.resolveSibling(isGin ? "checkpoint_300" : "config.gin");
    if (Files.exists(beside)) {
      Files.copy(beside, folder.resolve(beside.getFileName()));
    }
    SplittableRandom random = new SplittableRandom(name.hashCode());
    for (int i = 0; i < times; i++) {
      Files.write(target, mutated(whole, random));
      int number = i;
      CpuLimit.within(
          Duration.ofSeconds(5),
          "mutation " + i,
          () -> load(folder.resolve("checkpoint_300"), number));
    }
  }

  private static void load(Path path, int i) {
    try {
      try (FlaxCheckpoint file = FlaxCheckpoint.open(path)) {
        file.tensors().keySet().forEach(file::read);
      }
      Checkpoints.load(path, ImportOptions.builder().attention(attention(path)).build());
    } catch (PerformerException e) {
      assertThat(e.getMessage()).as("mutation " + i).contains(path.getParent().toString());
      assertThat(e.getMessage().lines()).as("mutation " + i).hasSize(1);
    }
  }

  private static ImportOptions.AttentionKind attention(Path path) {
    boolean hasGin = Files.exists(path.resolveSibling("config.gin"));
    return hasGin ? null : ImportOptions.AttentionKind.EXACT;
  }

  private static byte[] mutated(byte[] whole, SplittableRandom random) {
    byte[] copy = whole.clone();
    // Structure is mostly near the beginning of what was written last: aim at small parts too.
    int reach = random.nextBoolean() ? copy.length : Math.min(copy.length, 300);
    switch (random.nextInt(5)) {
      case 0 -> copy[random.nextInt(reach)] ^= (byte) (1 << random.nextInt(8));
      case 1 -> {
        for (int i = 0; i < 8; i++) {
          copy[random.nextInt(reach)] = (byte) random.nextInt(256);
        }
      }
      case 2 -> {
        return Arrays.copyOf(copy, random.nextInt(reach));
      }
      case 3 -> {
        int at = random.nextInt(reach);
        int n = 1 + random.nextInt(16);
        byte[] longer = new byte[copy.length + n];
        System.arraycopy(copy, 0, longer, 0, at);
        for (int i = 0; i < n; i++) {
          longer[at + i] = (byte) random.nextInt(256);
        }
        System.arraycopy(copy, at, longer, at + n, copy.length - at);
        return longer;
      }
      default -> {
        byte[] sizes = {(byte) 0xdf, (byte) 0xdd, (byte) 0xc6, (byte) 0xc9, (byte) 0xff};
        int at = random.nextInt(Math.max(1, reach - 5));
        copy[at] = sizes[random.nextInt(sizes.length)];
        Arrays.fill(copy, at + 1, Math.min(copy.length, at + 5), (byte) 0xff);
      }
    }
    return copy;
  }
}
