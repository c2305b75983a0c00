package dev.performer.checkpoint;

import dev.performer.CpuLimit;
import dev.performer.PerformerException;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A damaged file is read or refused, quickly: never a crash, a hang or another exception. */
class MutationTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "torch_named/bert_plain, model.safetensors",
    "protein_exp, weights.h5",
    "keras3_transformer, model.keras",
    "kernel_encoder/checkpoint, ckpt.index",
    "kernel_encoder/checkpoint, ckpt.data-00000-of-00001",
    "torch_named/performer, expected.npz"
  })
  void some(String directory, String file) throws IOException {
    mutate(directory, file, 60);
  }

  @Tag("slow")
  @ParameterizedTest
  @CsvSource({
    "torch_named/bert_plain, model.safetensors",
    "protein_exp, weights.h5",
    "kernel_encoder, model.h5",
    "keras3_transformer, model.weights.h5",
    "keras3_transformer, model.keras",
    "kernel_encoder/checkpoint, ckpt.index",
    "kernel_encoder/checkpoint, ckpt.data-00000-of-00001",
    "protein_exp/checkpoint, ckpt.index",
    "torch_named/performer, expected.npz"
  })
  void many(String directory, String file) throws IOException {
    mutate(directory, file, 2000);
  }

  private void mutate(String directory, String name, int times) throws IOException {
    String[] parts = directory.split("/", 2);
    Path model = ReferenceModels.directory("checkpoints/" + parts[0]);
    Path source = parts.length == 1 ? model : model.resolve(parts[1]);
    for (String other : new String[] {"ckpt.index", "ckpt.data-00000-of-00001"}) {
      if (Files.exists(source.resolve(other))) {
        Files.copy(source.resolve(other), folder.resolve(other));
      }
    }
    byte[] valid = Files.readAllBytes(source.resolve(name));
    Random random = new Random(name.hashCode());
    Path target = folder.resolve(name);
    Path opened = name.startsWith("ckpt.") ? folder.resolve("ckpt") : target;
    for (int i = 0; i < times; i++) {
      Files.write(target, mutated(valid, random));
      CpuLimit.within(Duration.ofSeconds(5), "mutation " + i, () -> readAll(opened));
    }
  }

  /** Bits flipped, cut, or bytes put in: near the start, where structure is, or anywhere. */
  private static byte[] mutated(byte[] valid, Random random) {
    int range = random.nextBoolean() ? valid.length : Math.min(valid.length, 4096);
    int place = random.nextInt(range);
    switch (random.nextInt(4)) {
      case 0 -> {
        return Arrays.copyOf(valid, place);
      }
      case 1 -> {
        byte[] put = new byte[1 + random.nextInt(16)];
        random.nextBytes(put);
        byte[] result = Arrays.copyOf(valid, valid.length + put.length);
        System.arraycopy(valid, place, result, place + put.length, valid.length - place);
        System.arraycopy(put, 0, result, place, put.length);
        return result;
      }
      case 2 -> {
        byte[] result = valid.clone();
        for (int i = 0; i < 8 && place + i < result.length; i++) {
          result[place + i] = (byte) (random.nextBoolean() ? 0xff : random.nextInt());
        }
        return result;
      }
      default -> {
        byte[] result = valid.clone();
        int flips = 1 + random.nextInt(8);
        for (int i = 0; i < flips; i++) {
          int at = random.nextInt(range);
          result[at] ^= (byte) (1 << random.nextInt(8));
        }
        return result;
      }
    }
  }

  private static void readAll(Path path) {
    try (WeightFile file = Checkpoints.open(path)) {
      for (String tensor : file.tensors().keySet()) {
        file.read(tensor);
      }
    } catch (PerformerException e) {
      if (e.getMessage() == null || e.getMessage().isBlank()) {
        throw new AssertionError("no message", e);
      }
    }
  }
}
