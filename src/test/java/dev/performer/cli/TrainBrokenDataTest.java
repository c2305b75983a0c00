package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Data that will not do ends {@code train} in one line that names it, and leaves no run. */
class TrainBrokenDataTest {
  private static final String RECIPE =
      """
      task: %s
      data: {train: %s, length: 64}
      model: {layers: 1, hiddenSize: 16, heads: 2, attention: {kernel: relu, features: 8}}
      training: {steps: 2, batchSequences: 2, evaluationBatches: 1}
      """;

  @TempDir Path temporary;

  @ParameterizedTest
  @CsvSource({
    "causal-lm, cut.fasta.gz, cut.fasta.gz",
    "causal-lm, empty.fasta, empty.fasta holds no sequence",
    "causal-lm, empty.txt, empty.txt",
    "causal-lm, cut.txt.gz, cut.txt.gz",
    "causal-lm, cut.npz, cut.npz",
    "causal-lm, text.npz, text.npz",
    "causal-lm, empty.npz, empty.npz",
    "causal-lm, text.tfrecord, text.tfrecord",
    "causal-lm, empty.tfrecord, empty.tfrecord",
    "classification, ragged.csv, ragged.csv",
    "classification, unlabelled.csv, unlabelled.csv",
    "classification, empty.csv, empty.csv",
    "causal-lm, folder.fasta, folder.fasta",
    "causal-lm, cut-idx3-ubyte, cut-idx3-ubyte",
    "causal-lm, pictures, pictures",
  })
  void isOneLineThatNamesTheFile(String task, String data, String expected) throws IOException {
    files();
    Path run = temporary.resolve("run");
    CommandLineRun.of("train", recipe(task, data), "--output", run).failed(1, expected);
    assertThat(run).doesNotExist();
  }

  @Test
  void aFolderThatMustNotBeWrittenIsNamed() throws IOException {
    Path shut = Files.createDirectory(temporary.resolve("shut"));
    boolean closed = shut.toFile().setWritable(false) && !Files.isWritable(shut);
    // Permissions do not stop root, but nobody makes a folder in /proc.
    Path run = (closed ? shut : Path.of("/proc")).resolve("run");
    assumeTrue(Files.isDirectory(run.getParent()));
    Files.writeString(temporary.resolve("good.fasta"), ">a\nMKVLA\n>b\nMKVLAAA\n");
    CommandLineRun.of("train", recipe("causal-lm", "good.fasta"), "--output", run)
        .failed(1, "cannot write to " + run);
  }

  private Path recipe(String task, String data) throws IOException {
    String more = task.equals("classification") ? data + ", text: sequence, label: label" : data;
    return Files.writeString(temporary.resolve("recipe.yaml"), RECIPE.formatted(task, more));
  }

  private void files() throws IOException {
    String fasta = ">a\n" + "MKVLAWQRSTNDE\n".repeat(200) + ">b\nMKVLA\n";
    byte[] zipped = gzip(fasta.getBytes(StandardCharsets.UTF_8));
    write("cut.fasta.gz", Arrays.copyOf(zipped, zipped.length / 2));
    write("cut.txt.gz", Arrays.copyOf(zipped, zipped.length / 2));
    byte[] npz = Files.readAllBytes(Path.of("training/data/digits_valid.npz"));
    write("cut.npz", Arrays.copyOf(npz, npz.length / 2));
    byte[] images = new byte[16 + 2 * 64 - 1]; // one byte too few of two pictures
    images[2] = 8;
    images[3] = 3;
    images[7] = 2;
    images[11] = 8;
    images[15] = 8;
    write("cut-idx3-ubyte", images);
    for (String name : new String[] {"text.npz", "text.tfrecord"}) {
      write(
          name, "this is no such file, though it is long enough".getBytes(StandardCharsets.UTF_8));
    }
    for (String name :
        new String[] {"empty.fasta", "empty.txt", "empty.npz", "empty.tfrecord", "empty.csv"}) {
      write(name, new byte[0]);
    }
    Files.writeString(temporary.resolve("ragged.csv"), "sequence,label\nMKV,a\nMKL\nMKV,b,c\n");
    Files.writeString(temporary.resolve("unlabelled.csv"), "sequence,kind\nMKV,a\nMKL,b\n");
    Files.createDirectories(temporary.resolve("folder.fasta"));
    Path pictures = Files.createDirectories(temporary.resolve("pictures/a"));
    Files.writeString(pictures.resolve("one.png"), "no picture");
  }

  private void write(String name, byte[] bytes) throws IOException {
    Files.write(temporary.resolve(name), bytes);
  }

  private static byte[] gzip(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(bytes);
    }
    return out.toByteArray();
  }
}
