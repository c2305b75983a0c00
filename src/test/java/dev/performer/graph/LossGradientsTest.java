package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat64;

/** Our gradients against central differences in float64. */
class LossGradientsTest {
  private static final int ROWS = 4;
  private static final int COLUMNS = 6;
  private static final double STEP = 1e-6;

  /** y from x, {@code [4, 6]}, values in (0.3, 2.3) but for two zeros on request. */
  private interface Function {
    Output<?> apply(Ops tf, RawOps ops, Output<?> x);
  }

  private static final Map<String, Function> CASES = new LinkedHashMap<>();

  static {
    CASES.put(
        "EnsureShape",
        (tf, ops, x) ->
            ops.builder("EnsureShape")
                .addInput(square(ops, x))
                .setAttr("shape", Shape.of(4, 6))
                .build()
                .output(0));
    CASES.put("PreventGradient", (tf, ops, x) -> ops.op("PreventGradient", square(ops, x)));
    CASES.put(
        "CheckNumericsV2",
        (tf, ops, x) ->
            ops.builder("CheckNumericsV2")
                .addInput(square(ops, x))
                .setAttr("message", "bad")
                .build()
                .output(0));
    CASES.put(
        "PlaceholderWithDefault",
        (tf, ops, x) ->
            ops.builder("PlaceholderWithDefault")
                .addInput(square(ops, x))
                .setAttr("shape", Shape.of(4, 6))
                .build()
                .output(0));
    CASES.put("Snapshot", (tf, ops, x) -> ops.op("Snapshot", square(ops, x)));
    CASES.put(
        "IdentityN",
        (tf, ops, x) ->
            ops.builder("IdentityN")
                .addInputList(new Output<?>[] {square(ops, x), ops.op("Exp", x)})
                .build()
                .output(1));
    CASES.put("OnesLike", (tf, ops, x) -> ops.op("Mul", ops.op("OnesLike", x), square(ops, x)));
    CASES.put("Erfc", (tf, ops, x) -> ops.op("Erfc", x));
    CASES.put("Digamma", (tf, ops, x) -> ops.op("Digamma", x));
    CASES.put("Xlogy", (tf, ops, x) -> ops.op("Xlogy", row(ops, x), x));
    CASES.put("Xlog1py", (tf, ops, x) -> ops.op("Xlog1py", x, row(ops, x)));
    CASES.put("Xdivy", (tf, ops, x) -> ops.op("Xdivy", row(ops, x), x));
    CASES.put("MulNoNan", (tf, ops, x) -> ops.op("MulNoNan", row(ops, x), x));
    CASES.put(
        "FloorMod",
        (tf, ops, x) -> ops.op("FloorMod", ops.op("Mul", ops.scalar(-3.1, x), x), row(ops, x)));
    CASES.put(
        "Mod", (tf, ops, x) -> ops.op("Mod", ops.op("Mul", ops.scalar(-3.1, x), x), row(ops, x)));
    CASES.put(
        "TruncateMod",
        (tf, ops, x) -> ops.op("TruncateMod", ops.op("Mul", ops.scalar(-3.1, x), x), row(ops, x)));
    CASES.put(
        "Round",
        (tf, ops, x) -> ops.op("Mul", ops.op("Round", ops.op("Mul", ops.scalar(3, x), x)), x));
    CASES.put("Rint", (tf, ops, x) -> ops.op("Mul", ops.op("Rint", x), x));
    CASES.put("Ceil", (tf, ops, x) -> ops.op("Mul", ops.op("Ceil", x), x));
    CASES.put("FloorDiv", (tf, ops, x) -> ops.op("Mul", ops.op("FloorDiv", x, row(ops, x)), x));
    CASES.put("Cumprod", (tf, ops, x) -> cumulative(ops, "Cumprod", x));
    CASES.put("CumulativeLogsumexp", (tf, ops, x) -> cumulative(ops, "CumulativeLogsumexp", x));
    CASES.put("EuclideanNorm", (tf, ops, x) -> ops.op("EuclideanNorm", x, ops.ints(-1)));
    CASES.put("TopKV2", (tf, ops, x) -> ops.op("TopKV2", x, ops.integer(3)));
    CASES.put("MatrixDiagV2", (tf, ops, x) -> diag(ops, "MatrixDiagV2", x));
    CASES.put("MatrixDiagV3", (tf, ops, x) -> diag(ops, "MatrixDiagV3", x));
    CASES.put("MatrixDiagPartV2", (tf, ops, x) -> diagPart(ops, "MatrixDiagPartV2", x));
    CASES.put("MatrixDiagPartV3", (tf, ops, x) -> diagPart(ops, "MatrixDiagPartV3", x));
    CASES.put(
        "TensorScatterAdd",
        (tf, ops, x) ->
            ops.op(
                "TensorScatterAdd",
                x,
                tf.constant(new int[][] {{1}, {1}}).asOutput(),
                rows(ops, square(ops, x), 2)));
    CASES.put(
        "TensorScatterUpdate",
        (tf, ops, x) ->
            ops.op(
                "TensorScatterUpdate",
                x,
                tf.constant(new int[][] {{1}, {3}}).asOutput(),
                rows(ops, square(ops, x), 2)));
    CASES.put(
        "SparseSoftmaxCrossEntropyWithLogits",
        (tf, ops, x) -> ops.op("SparseSoftmaxCrossEntropyWithLogits", x, ops.ints(1, 5, 0, 2)));
    CASES.put(
        "ReluGrad",
        (tf, ops, x) -> ops.op("ReluGrad", square(ops, x), ops.op("Sub", x, ops.scalar(1, x))));
    CASES.put("ResourceGather", (tf, ops, x) -> gather(tf, x, 0));
    CASES.put("ResourceGather of batches", (tf, ops, x) -> gather(tf, x, 1));
    CASES.put("ResourceGatherNd", (tf, ops, x) -> gather(tf, x, -1));
    CASES.put(
        "second order of Relu and OnesLike",
        (tf, ops, x) -> {
          Output<?> shifted = ops.op("Sub", x, ops.scalar(1, x));
          Output<?> cube = ops.op("Mul", square(ops, shifted), ops.op("Relu", shifted));
          return ((Graph) tf.scope().env()).addGradients(sum(ops, cube), new Output<?>[] {x})[0];
        });
    CASES.put(
        "second order of SparseSoftmaxCrossEntropyWithLogits",
        (tf, ops, x) -> {
          Output<?> losses =
              ops.op("SparseSoftmaxCrossEntropyWithLogits", square(ops, x), ops.ints(1, 5, 0, 2));
          return ((Graph) tf.scope().env()).addGradients(sum(ops, losses), new Output<?>[] {x})[0];
        });
    for (String op : List.of("FFT", "IFFT", "FFT2D", "IFFT2D", "FFT3D", "IFFT3D")) {
      CASES.put(op, (tf, ops, x) -> real(ops, ops.op(op, complex(ops, x))));
    }
    for (int length : new int[] {4, 5, 6}) {
      for (String dimensions : List.of("", "2D")) {
        int[] lengths = {1, length}; // of [2, 2, 6], which is cut
        int[] last = Arrays.copyOfRange(lengths, dimensions.isEmpty() ? 1 : 0, 2);
        CASES.put(
            "RFFT" + dimensions + " " + length,
            (tf, ops, x) ->
                real(
                    ops,
                    ops.op(
                        "RFFT" + dimensions,
                        b -> b.setAttr("Tcomplex", DataType.DT_COMPLEX128),
                        volume(ops, square(ops, x)),
                        ops.ints(last))));
        CASES.put(
            "IRFFT" + dimensions + " " + length,
            (tf, ops, x) ->
                ops.op(
                    "IRFFT" + dimensions,
                    b -> b.setAttr("Treal", DataType.DT_DOUBLE),
                    complex(ops, x),
                    ops.ints(last)));
      }
    }
  }

  static Set<String> cases() {
    return CASES.keySet();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void agreesWithCentralDifferences(String name) {
    LossGradients.register();
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      RawOps ops = new RawOps(tf);
      Placeholder<TFloat64> x =
          tf.placeholder(TFloat64.class, Placeholder.shape(Shape.of(ROWS, COLUMNS)));
      handle = null;
      Output<?> y = CASES.get(name).apply(tf, ops, x.asOutput());
      Output<?> n = ops.cast(ops.op("Range", ops.integer(0), ops.op("Size", y), ops.integer(1)), y);
      Output<?> weights =
          ops.op("Cos", ops.op("AddV2", ops.op("Mul", n, ops.scalar(0.7, y)), ops.scalar(0.3, y)));
      Output<?> loss = sum(ops, ops.op("Mul", ops.op("Reshape", y, ops.ints(-1)), weights));
      Output<?> source = handle == null ? x.asOutput() : handle;
      Output<?> gradient = graph.addGradients(loss, new Output<?>[] {source})[0];
      try (Session session = new Session(graph)) {
        double[] at = new Random(3).doubles(ROWS * COLUMNS, 0.3, 2.3).toArray();
        evaluate(session, x, at, loss); // gives the variable its value
        double[] found = evaluate(session, x, at, gradient);
        for (int i = 0; i < at.length; i++) {
          double[] up = at.clone();
          up[i] += STEP;
          double[] down = at.clone();
          down[i] -= STEP;
          double difference =
              (evaluate(session, x, up, loss)[0] - evaluate(session, x, down, loss)[0])
                  / (2 * STEP);
          assertThat(Math.abs(found[i] - difference) / Math.max(1, Math.abs(difference)))
              .as("%s at %d: %s, by differences %s", name, i, found[i], difference)
              .isLessThan(1e-6);
        }
      }
    }
  }

  @Test
  void knowsWhatCanBeDifferentiated() {
    assertThat(List.of("MatMul", "Einsum", "ResourceGather", "IdentityN", "Shape"))
        .allMatch(LossGradients::isDifferentiable);
    assertThat(List.of("While", "StatelessIf", "TensorListStack"))
        .allMatch(LossGradients::isDifferentiable);
    assertThat(List.of("TensorArrayReadV3", "Eig")).noneMatch(LossGradients::isDifferentiable);
  }

  @Test
  void givesNoneWhereAGradientIsStoppedOnPurpose() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Variable a = variables.create("a", Shape.of(2), true, tf.constant(new float[] {1, 2}));
      Variable b = variables.create("b", Shape.of(2), true, tf.constant(new float[] {3, 4}));
      RawOps ops = new RawOps(tf);
      Output<?> stopped = ops.op("StopGradient", b.read(tf).asOutput());
      Output<?> loss = sum(ops, ops.op("Mul", a.read(tf).asOutput(), stopped));
      var gradients = LossGradients.find(graph, loss, List.of(a, b));
      assertThat(gradients.get(1)).isEmpty();
      try (Session session = new Session(graph)) {
        variables.initialize(session);
        try (Result result = session.runner().fetch(gradients.get(0).orElseThrow()).run()) {
          assertThat(Tensors.floats(result.get(0))).containsExactly(3, 4);
        }
      }
    }
  }

  private static double[] evaluate(
      Session session, Operand<TFloat64> x, double[] values, Output<?> fetch) {
    try (TFloat64 fed = Tensors.of(values, ROWS, COLUMNS);
        Result result = session.runner().feed(x, fed).fetch(fetch).run()) {
      return Tensors.doubles(result.get(0));
    }
  }

  private static Output<?> volume(RawOps ops, Output<?> x) {
    return ops.op("Reshape", x, ops.ints(2, 2, 6));
  }

  // TensorFlow's gradients of Complex, Real and Imag exist in single precision only.
  private static Output<?> complex(RawOps ops, Output<?> x) {
    Output<?> turned = ops.mul(ops.cast(volume(ops, x), number(ops, 0, 1)), number(ops, 0.3, 1));
    return ops.op("AddV2", turned, ops.cast(volume(ops, square(ops, x)), turned));
  }

  private static Output<?> number(RawOps ops, double real, double imaginary) {
    return ops.op(
        "Complex",
        b -> b.setAttr("Tout", DataType.DT_COMPLEX128),
        ops.number(real),
        ops.number(imaginary));
  }

  /** Real part and half the imaginary one. */
  private static Output<?> real(RawOps ops, Output<?> z) {
    return ops.cast(ops.mul(z, number(ops, 1, -0.5)), ops.number(0));
  }

  private static Output<?> square(RawOps ops, Output<?> x) {
    return ops.op("Square", x);
  }

  private static Output<?> row(RawOps ops, Output<?> x) {
    return ops.op("Reshape", rows(ops, x, 1), ops.ints(COLUMNS));
  }

  private static Output<?> rows(RawOps ops, Output<?> x, int count) {
    return ops.op("Slice", x, ops.ints(0, 0), ops.ints(count, -1));
  }

  private static Output<?> sum(RawOps ops, Output<?> x) {
    return ops.op("Sum", ops.op("Reshape", x, ops.ints(-1)), ops.ints(0));
  }

  private static Output<?> cumulative(RawOps ops, String type, Output<?> x) {
    Output<?> reversed =
        ops.builder(type)
            .addInput(x)
            .addInput(ops.integer(1))
            .setAttr("reverse", true)
            .build()
            .output(0);
    Output<?> exclusive =
        ops.builder(type)
            .addInput(x)
            .addInput(ops.integer(0))
            .setAttr("exclusive", true)
            .build()
            .output(0);
    // The first row of an exclusive log-sum-exp is the logarithm of nothing.
    return ops.op("AddV2", reversed, ops.op("Maximum", exclusive, ops.scalar(-5, x)));
  }

  private static Output<?> diag(RawOps ops, String type, Output<?> x) {
    Output<?> padding = ops.op("Sum", ops.op("Reshape", x, ops.ints(-1)), ops.ints(0));
    return ops.op(type, x, ops.integer(0), ops.integer(8), ops.integer(-1), padding);
  }

  private static Output<?> diagPart(RawOps ops, String type, Output<?> x) {
    Output<?> padding = ops.op("Sum", ops.op("Reshape", x, ops.ints(-1)), ops.ints(0));
    return ops.op(type, x, ops.ints(-1, 1), padding);
  }

  private static Output<?> handle;

  /** Gathers from a variable that is set to x first; its gradient is taken at the handle. */
  private static Output<?> gather(Ops tf, Output<?> x, int batchDims) {
    Variable variable =
        new Variables(tf).declare("table", TFloat64.class, Shape.of(ROWS, COLUMNS), true);
    handle = variable.handle();
    RawOps ops = new RawOps(tf);
    Op assigned = () -> ops.builder("AssignVariableOp", variable.handle(), x).build();
    var after = new RawOps(tf.withControlDependencies(List.of(assigned)));
    if (batchDims < 0) {
      Output<?> pairs = tf.constant(new int[][] {{0, 1}, {3, 5}, {0, 1}}).asOutput();
      return after
          .builder("ResourceGatherNd")
          .addInput(handle)
          .addInput(pairs)
          .setAttr("dtype", DataType.DT_DOUBLE)
          .build()
          .output(0);
    }
    Output<?> indices =
        batchDims == 0
            ? tf.constant(new long[][] {{3, 0, 3}, {1, 1, 1}}).asOutput()
            : tf.constant(new int[][] {{5, 0}, {1, 1}, {2, 3}, {4, 4}}).asOutput();
    return after
        .builder("ResourceGather")
        .addInput(handle)
        .addInput(indices)
        .setAttr("dtype", DataType.DT_DOUBLE)
        .setAttr("batch_dims", batchDims)
        .build()
        .output(0);
  }
}
