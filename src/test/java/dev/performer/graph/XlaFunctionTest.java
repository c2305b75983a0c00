package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gather;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

class XlaFunctionTest {
  private static final int B = 2;
  private static final int L = 24;
  private static final int D = 8;
  private static final int M = 12;

  private static Operand<TFloat32> random(Ops tf, Random random, float scale, long... shape) {
    float[] values = new float[Math.toIntExact(Shape.of(shape).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian() * scale;
    }
    try (TFloat32 tensor = Tensors.of(values, shape)) {
      return tf.constantOf(tensor);
    }
  }

  private static Operand<TFloat32> einsum(
      Ops tf, String equation, Operand<TFloat32> a, Operand<TFloat32> b) {
    return tf.linalg.einsum(List.of(a, b), equation);
  }

  private static Operand<TFloat32> features(
      Ops tf, Operand<TFloat32> x, Operand<TFloat32> projection) {
    Operand<TFloat32> norm =
        tf.math.mul(
            tf.reduceSum(tf.math.square(x), tf.constant(-1), ReduceSum.keepDims(true)),
            tf.constant(0.5f));
    return tf.math.exp(tf.math.sub(einsum(tf, "bld,md->blm", x, projection), norm)); // [B, L, M]
  }

  /** Causal linear attention, then a cross entropy: what a training step of a Performer holds. */
  private static Operand<TFloat32> loss(
      Ops tf, Operand<TFloat32> x, Operand<TInt32> labels, Operand<TFloat32> weights) {
    Operand<TFloat32> projection = random(tf, new Random(3), 0.5f, M, D);
    Operand<TFloat32> queries = einsum(tf, "bld,de->ble", x, weights);
    Operand<TFloat32> q = features(tf, queries, projection);
    Operand<TFloat32> k = features(tf, tf.math.tanh(queries), projection);
    Operand<TFloat32> states = tf.math.cumsum(einsum(tf, "blm,bld->blmd", k, x), tf.constant(1));
    Operand<TFloat32> numerator = einsum(tf, "blm,blmd->bld", q, states);
    Operand<TFloat32> denominator = einsum(tf, "blm,blm->bl", q, tf.math.cumsum(k, tf.constant(1)));
    Operand<TFloat32> out = tf.math.div(numerator, tf.expandDims(denominator, tf.constant(-1)));
    Operand<TFloat32> logProbabilities =
        tf.nn.logSoftmax(tf.reshape(out, tf.constant(new int[] {B * L, D})));
    return tf.math.neg(
        tf.math.mean(
            tf.gather(
                logProbabilities,
                tf.reshape(labels, tf.constant(new int[] {B * L})),
                tf.constant(1),
                Gather.batchDims(1L)),
            tf.constant(0)));
  }

  private static Operand<?> step(Ops tf, List<Output<?>> in, List<Variable> variables) {
    Operand<TFloat32> weights = variables.get(0).<TFloat32>read(tf);
    Operand<TFloat32> loss =
        loss(tf, in.get(0).expect(TFloat32.class), in.get(1).expect(TInt32.class), weights);
    Operand<TFloat32> gradient = tf.gradients(loss, List.of(weights)).dy(0);
    Operand<TFloat32> number = in.get(2).expect(TFloat32.class);
    Op update =
        tf.train.resourceApplyAdam(
            variables.get(0).handle(),
            variables.get(1).handle(),
            variables.get(2).handle(),
            tf.math.pow(tf.constant(0.9f), number),
            tf.math.pow(tf.constant(0.999f), number),
            tf.constant(1e-2f),
            tf.constant(0.9f),
            tf.constant(0.999f),
            tf.constant(1e-8f),
            gradient);
    return tf.withControlDependencies(List.of(update)).identity(loss);
  }

  private static List<Float> train(boolean compiled, int steps) {
    List<Float> losses = new ArrayList<>();
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Shape shape = Shape.of(D, D);
      variables.create("w", shape, true, random(tf, new Random(5), 0.3f, D, D));
      Operand<TFloat32> zeros = tf.zeros(tf.constant(new int[] {D, D}), TFloat32.class);
      variables.create("w/m", shape, false, zeros);
      variables.create("w/v", shape, false, zeros);
      Operand<TFloat32> x = random(tf, new Random(7), 1f, B, L, D);
      int[] labels = new Random(9).ints(B * L, 0, D).toArray();
      Operand<TInt32> y = tf.reshape(tf.constant(labels), tf.constant(new int[] {B, L}));
      Placeholder<TFloat32> number =
          tf.placeholder(TFloat32.class, Placeholder.shape(Shape.scalar()));
      List<Output<?>> in = List.of(x.asOutput(), y.asOutput(), number.asOutput());
      Output<?> loss = step(tf, in, variables.all()).asOutput();
      StaticShapes.require(graph);
      if (compiled) {
        loss = XlaFunction.cut(tf, in, in, List.of(loss), variables.all()).get(0);
      }
      variables.initialize(session);
      for (int i = 1; i <= steps; i++) {
        try (TFloat32 fed = TFloat32.scalarOf(i);
            Result result = session.runner().feed(number, fed).fetch(loss).run()) {
          losses.add(Tensors.floats(result.get(0))[0]);
        }
      }
    }
    return losses;
  }

  @Test
  void aCompiledTrainingStepGivesTheSameLosses() {
    List<Float> plain = train(false, 12);
    List<Float> compiled = train(true, 12);
    assertThat(plain.get(11)).isLessThan(plain.get(0) - 0.05f);
    for (int i = 0; i < plain.size(); i++) {
      assertThat(compiled.get(i)).as("step %d", i).isCloseTo(plain.get(i), within(2e-5f));
    }
  }

  @Test
  void anOpWithoutKernelIsNamedWhenTheGraphIsBuilt() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Operand<TFloat32> number = tf.constant(new float[] {1f});
      List<Output<?>> in = List.of(number.asOutput());
      List<Output<?>> out = List.of(tf.dtypes.asString(number).asOutput());
      assertThatThrownBy(() -> XlaFunction.cut(tf, in, in, out, List.of()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("AsString")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void loopsCompileThoughTheirGraphWouldTakeThemApart() {
    GraphDef definition;
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Map<String, Operand<?>> start = Map.of("i", tf.constant(1));
      new Loop("loop", start, Map.of())
          .run(
              tf,
              (t, in) -> t.math.less(ints(in), t.constant(100)),
              (t, in) -> Map.of("i", t.math.mul(ints(in), t.constant(3))));
      GraphDef.Builder lowered = graph.toGraphDef().toBuilder();
      var asked = AttrValue.newBuilder().setB(true).build();
      lowered.getNodeBuilderList().stream()
          .filter(node -> node.getOp().equals("StatelessWhile"))
          .forEach(node -> node.putAttr("_lower_using_switch_merge", asked));
      definition = lowered.build();
    }
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      graph.importGraphDef(definition);
      List<Output<?>> out = List.of(graph.outputOrThrow("loop:0"));
      var compiled = XlaFunction.cut(Ops.create(graph), List.of(), List.of(), out, List.of());
      try (Result result = session.runner().fetch(compiled.get(0)).run()) {
        assertThat(((TInt32) result.get(0)).getInt()).isEqualTo(243);
      }
    }
  }

  private static Operand<TInt32> ints(Map<String, Operand<?>> carried) {
    return carried.get("i").asOutput().expect(TInt32.class);
  }

  @Test
  void anOpThatFailsAtRunTimeIsNamed() {
    // Traced by hand, so that only the compiler itself can object.
    ArgumentSpec x = ArgumentSpec.of("x", TFloat32.class, 2);
    try (Graph graph = new Graph();
        Session session = new Session(graph);
        TracedFunction function =
            TracedFunction.trace("bad", tracing -> Map.of("y", lengthInWriting(tracing, x)))) {
      Ops tf = Ops.create(graph);
      Placeholder<TFloat32> in = tf.placeholder(TFloat32.class, Placeholder.shape(x.shape()));
      Output<?> y = function.call(tf, "call", List.of(in), List.of(), true).output(0);
      try (TFloat32 fed = Tensors.of(new float[] {1, 2}, 2)) {
        Throwable failure =
            catchThrowable(() -> session.runner().feed(in, fed).fetch(y).run().close());
        assertThat(failure).isInstanceOf(RuntimeException.class);
        assertThat(XlaFunction.explain((RuntimeException) failure))
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("AsString")
            .hasMessageNotContaining("\n");
      }
    }
  }

  private static Operand<?> lengthInWriting(TracedFunction.Tracing tracing, ArgumentSpec x) {
    Operand<TFloat32> value = tracing.input(x).asOutput().expect(TFloat32.class);
    return tracing.tf().strings.stringLength(tracing.tf().dtypes.asString(value));
  }

  @Test
  void kernelsAreListedByDeviceAndType() {
    RegisteredKernels kernels = RegisteredKernels.withXla();
    assertThat(kernels.devices("MatMul"))
        .contains(RegisteredKernels.CPU, RegisteredKernels.XLA_CPU);
    assertThat(kernels.devices("AsString")).doesNotContain(RegisteredKernels.XLA_CPU);
    assertThat(kernels.devices("NoSuchOp")).isEmpty();
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Operand<TFloat32> matrix = tf.zeros(tf.constant(new int[] {2, 2}), TFloat32.class);
      var tanh = (GraphOperation) tf.math.tanh(matrix).op();
      assertThat(kernels.supports(RegisteredKernels.CPU, tanh)).isTrue();
      assertThat(kernels.supports(RegisteredKernels.XLA_CPU, tanh)).isTrue();
      var numbers = (GraphOperation) tf.math.equal(matrix, matrix).op();
      assertThat(kernels.supports(RegisteredKernels.XLA_CPU, numbers)).isTrue();
      var texts = (GraphOperation) tf.math.equal(tf.constant("a"), tf.constant("b")).op();
      assertThat(kernels.supports(RegisteredKernels.CPU, texts)).isTrue();
      assertThat(kernels.supports(RegisteredKernels.XLA_CPU, texts)).isFalse();
    }
  }
}
