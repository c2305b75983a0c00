package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.TUint8;
import org.tensorflow.types.family.TType;

class SaveRestoreTest {
  @TempDir Path directory;
  private Graph graph;
  private Session session;
  private Ops tf;
  private Variables variables;

  @BeforeEach
  void open() {
    graph = new Graph();
    session = new Session(graph);
    tf = Ops.create(graph);
    variables = new Variables(tf);
  }

  @AfterEach
  void close() {
    session.close();
    graph.close();
  }

  private Variable weights(String name, long... shape) {
    Random random = new Random(name.hashCode());
    float[] values = new float[Math.toIntExact(Shape.of(shape).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    try (TFloat32 tensor = Tensors.of(values, shape)) {
      return variables.create(name, Shape.of(shape), true, tf.constantOf(tensor));
    }
  }

  private byte[] bytes(Variable variable) {
    Operand<?> read = variable.read(tf);
    try (Result result = session.runner().fetch(read).run()) {
      return Tensors.bytes(result.get(0));
    }
  }

  @Test
  void everyTypeComesBackBitForBit() {
    Operand<TFloat32> source = tf.constant(new float[] {1.5f, -2.25f, 3e-5f});
    List<Class<? extends TType>> types =
        List.of(
            TFloat32.class,
            TFloat64.class,
            TFloat16.class,
            TBfloat16.class,
            TInt32.class,
            TInt64.class,
            TUint8.class,
            TBool.class);
    for (Class<? extends TType> type : types) {
      Operand<?> value = tf.dtypes.cast(source, type);
      variables.create("v/" + type.getSimpleName(), Shape.of(3), true, value);
    }
    variables.initialize(session);
    List<byte[]> before = variables.all().stream().map(this::bytes).toList();
    SaveRestore saver = SaveRestore.of(tf, variables.all());
    Path prefix = directory.resolve("new/sub/step-1");

    saver.save(session, prefix);
    for (Variable variable : variables.all()) {
      session.run(Variables.assign(tf, variable, tf.zerosLike(variable.read(tf))));
      assertThat(bytes(variable)).containsOnly(0);
    }
    saver.restore(session, prefix);

    List<byte[]> after = variables.all().stream().map(this::bytes).toList();
    for (int i = 0; i < before.size(); i++) {
      assertThat(after.get(i)).as(types.get(i).getSimpleName()).isEqualTo(before.get(i));
    }
    assertThat(files(prefix.getParent()))
        .containsExactlyInAnyOrder("step-1.index", "step-1.data-00000-of-00001");
  }

  @Test
  void anImportedGraphWithASaverOfItsOwnIsNoObstacle() {
    weights("w", 2);
    SaveRestore.of(tf, variables.all());
    try (Graph imported = new Graph();
        Session other = new Session(imported)) {
      imported.importGraphDef(graph.toGraphDef());
      Ops ops = Ops.create(imported);
      Variables more = new Variables(ops.withSubScope("more"));
      more.create("more", Shape.of(1), true, ops.withSubScope("more").constant(new float[] {3}));
      more.initialize(other);
      SaveRestore.of(ops, more.all()).save(other, directory.resolve("c"));
      assertThat(CheckpointReader.exists(directory.resolve("c"))).isTrue();
    }
  }

  @Test
  void typesWithoutAJavaClassAreListed() {
    Operand<TFloat32> source = tf.constant(new float[] {1, 2, 3});
    Operand<?> small =
        graph
            .opBuilder("Cast", "small", tf.scope())
            .addInput(source.asOutput())
            .setAttr("DstT", DataType.DT_INT8)
            .build()
            .output(0);
    Path prefix = directory.resolve("c");
    new SaveRestore(tf, List.of(), Map.of("small", small)).save(session, prefix);
    try (CheckpointReader reader = CheckpointReader.open(prefix)) {
      assertThat(reader.entry("small").type()).isEqualTo(DataType.DT_INT8);
      assertThatThrownBy(() -> reader.tensor("small"))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("small");
    }
  }

  @Test
  void keysArePythons() {
    weights("layer_0/attention/query", 2, 3);
    variables.initialize(session);
    Path prefix = directory.resolve("c");
    SaveRestore.of(tf, variables.all()).save(session, prefix);
    try (CheckpointReader reader = CheckpointReader.open(prefix)) {
      assertThat(reader.entries())
          .containsOnlyKeys("layer_0/attention/query/.ATTRIBUTES/VARIABLE_VALUE");
      assertThat(reader.entries().values().iterator().next().shape()).isEqualTo(Shape.of(2, 3));
    }
  }

  @Test
  void extrasAreStoredBesideTheVariables() {
    weights("w", 2);
    variables.initialize(session);
    SaveRestore saver =
        new SaveRestore(
            tf,
            variables.all(),
            Map.of("step", tf.constant(1L << 40), "position", tf.constant("épo que=3")));
    Path prefix = directory.resolve("c");
    saver.save(session, prefix);
    try (CheckpointReader reader = CheckpointReader.open(prefix)) {
      try (Tensor step = reader.tensor("step")) {
        assertThat(Tensors.longs(step)).containsExactly(1L << 40);
      }
      assertThat(new String(reader.string("position"), StandardCharsets.UTF_8))
          .isEqualTo("épo que=3");
      assertThatThrownBy(() -> reader.string("step"))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("step");
    }
    saver.restore(session, prefix);
  }

  @Test
  void allDisagreementsAreListedAndNothingChanges() {
    Variable a = weights("a", 2, 3);
    weights("b", 4);
    variables.initialize(session);
    Path prefix = directory.resolve("c");
    SaveRestore.of(tf, variables.all()).save(session, prefix);

    Variable wrongType =
        new Variable(
            "b", a.handle(), TInt32.class, Shape.of(4), true, "b/.ATTRIBUTES/VARIABLE_VALUE");
    Variable wrongShape =
        new Variable("a", a.handle(), TFloat32.class, Shape.of(3, 2), true, a.checkpointKey());
    Variables other = new Variables(tf.withSubScope("other"));
    Variable absent = other.declare("absent", TFloat32.class, Shape.of(1), true);
    try (Graph second = new Graph();
        Session secondSession = new Session(second)) {
      Ops tf2 = Ops.create(second);
      Variables model = new Variables(tf2);
      model.declare("a", TFloat32.class, wrongShape.shape(), true);
      model.declare("b", TInt32.class, wrongType.shape(), true);
      model.declare(absent.name(), TFloat32.class, absent.shape(), true);
      SaveRestore saver = SaveRestore.of(tf2, model.all());
      assertThatThrownBy(() -> saver.restore(secondSession, prefix))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("a/.ATTRIBUTES/VARIABLE_VALUE has shape [2, 3], expected [3, 2]")
          .hasMessageContaining("b/.ATTRIBUTES/VARIABLE_VALUE is DT_FLOAT, expected DT_INT32")
          .hasMessageContaining("absent/.ATTRIBUTES/VARIABLE_VALUE is missing")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void missingAndTruncatedFilesAreNamed() throws IOException {
    weights("w", 1000);
    variables.initialize(session);
    SaveRestore saver = SaveRestore.of(tf, variables.all());
    assertThatThrownBy(() -> saver.restore(session, directory.resolve("none")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("none.index is missing");

    Path prefix = directory.resolve("c");
    saver.save(session, prefix);
    Path data = directory.resolve("c.data-00000-of-00001");
    byte[] whole = Files.readAllBytes(data);
    Files.write(data, Arrays.copyOf(whole, whole.length - 1));
    assertThatThrownBy(() -> saver.restore(session, prefix))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("truncated");
    Files.delete(data);
    assertThatThrownBy(() -> saver.restore(session, prefix))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("data-?????-of-????? is missing");
    Files.write(data, whole);
    Path index = directory.resolve("c.index");
    try (RandomAccessFile file = new RandomAccessFile(index.toFile(), "rw")) {
      file.setLength(file.length() - 3);
    }
    assertThatThrownBy(() -> saver.restore(session, prefix))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("c.index is not a checkpoint index");
  }

  @Test
  void damagedBytesAreFound() throws IOException {
    weights("w", 1000);
    variables.initialize(session);
    SaveRestore saver = SaveRestore.of(tf, variables.all());
    Path prefix = directory.resolve("c");
    saver.save(session, prefix);
    Path data = directory.resolve("c.data-00000-of-00001");
    byte[] bytes = Files.readAllBytes(data);
    bytes[500] ^= 1;
    Files.write(data, bytes);
    assertThatThrownBy(() -> saver.restore(session, prefix))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("cannot be read");
  }

  @Test
  void aDirectoryThatCannotBeMadeIsOneLine() throws IOException {
    weights("w", 2);
    variables.initialize(session);
    Path file = Files.writeString(directory.resolve("file"), "x");
    SaveRestore saver = SaveRestore.of(tf, variables.all());
    assertThatThrownBy(() -> saver.save(session, file.resolve("c")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("cannot be written")
        .hasMessageNotContaining("\n");
  }

  /** A process whose files may not grow beyond 400 kB stands for a full disk. */
  @Test
  void aFullDiskIsOneLineAndLeavesTheSessionUsable() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/bin/bash")), "needs bash");
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    Process process =
        new ProcessBuilder(
                "/bin/bash",
                "-c",
                "ulimit -f 400 && exec \"$0\" \"$@\"",
                java,
                "-Xshare:auto",
                "-XX:-UsePerfData",
                "-cp",
                System.getProperty(
                    "surefire.test.class.path", System.getProperty("java.class.path")),
                FullDisk.class.getName(),
                directory.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(output).isZero();
    assertThat(output.lines().toList())
        .hasSize(2)
        .first(InstanceOfAssertFactories.STRING)
        .contains("big cannot be written: File too large");
    assertThat(output.lines().toList()).last().isEqualTo("saved");
    assertThat(files(directory))
        .containsExactlyInAnyOrder("small.index", "small.data-00000-of-00001");
  }

  /** Runs in a process of its own: a save that fails, then one that has room. */
  static final class FullDisk {
    public static void main(String[] arguments) {
      Path directory = Path.of(arguments[0]);
      try (Graph graph = new Graph();
          Session session = new Session(graph)) {
        Ops tf = Ops.create(graph);
        Variables variables = new Variables(tf);
        Operand<TFloat32> zeros = tf.zeros(tf.constant(new int[] {300_000}), TFloat32.class);
        Variable big = variables.create("big", Shape.of(300_000), true, zeros);
        Variable small = variables.create("small", Shape.of(1), true, tf.constant(new float[] {1}));
        variables.initialize(session);
        try {
          SaveRestore.of(tf, List.of(big)).save(session, directory.resolve("big"));
        } catch (PerformerException e) {
          System.out.println(e.getMessage());
        }
        SaveRestore.of(tf, List.of(small)).save(session, directory.resolve("small"));
        System.out.println("saved");
      }
    }
  }

  private static List<String> files(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
