package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.graph.RegisteredKernels.Support;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/** What devices have for ops, and that what they lack is found wherever it is. */
class OpKernelsTest {
  private static List<OpKernels> of(Consumer<Ops> body) {
    try (Graph graph = new Graph()) {
      body.accept(Ops.create(graph));
      return OpKernels.of(graph.toGraphDef());
    }
  }

  private static OpKernels find(List<OpKernels> all, String name) {
    return all.stream().filter(op -> op.toString().equals(name)).findFirst().orElseThrow();
  }

  private static Operand<TFloat32> matrix(Ops tf) {
    return tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(2, 2)));
  }

  @Test
  void opsAreToldApartByTheirTypes() {
    var all =
        of(
            tf -> {
              Operand<TFloat32> x = matrix(tf);
              tf.linalg.matMul(x, x);
              tf.linalg.matMul(x, tf.linalg.matMul(x, x));
              Operand<TBfloat16> half = tf.dtypes.cast(x, TBfloat16.class);
              tf.linalg.matMul(half, half);
            });
    assertThat(find(all, "MatMul float32").count()).isEqualTo(3);
    assertThat(find(all, "MatMul bfloat16").gpu()).isEqualTo(Support.DEVICE);
    assertThat(find(all, "Cast float32, bfloat16").xlaGpu()).isEqualTo(Support.DEVICE);
    assertThat(find(all, "Placeholder float32").xlaCpu()).isEqualTo(Support.DEVICE);
  }

  @Test
  void whatAGpuLacksOrLeavesToItsHostIsFound() {
    var all =
        of(
            tf -> {
              Operand<TFloat32> x = matrix(tf);
              tf.strings.toNumber(tf.dtypes.asString(x), TFloat64.class);
              tf.math.mul(tf.shape(x), tf.constant(2));
              tf.math.erfinv(tf.constant(0.5f));
              tf.linalg.qr(x);
            });
    DeviceCheck check = DeviceCheck.listed("made", all);
    assertThat(check.withoutGpu())
        .extracting(OpKernels::toString)
        .containsExactly("AsString float32", "StringToNumber float64");
    assertThat(check.withoutXla()).containsExactlyElementsOf(check.withoutGpu());
    assertThat(check.onHost())
        .extracting(OpKernels::op)
        .contains("Shape", "Mul", "Qr")
        .doesNotContain("Erfinv", "Placeholder");
    assertThat(find(all, "AsString float32").cpu()).isEqualTo(Support.DEVICE);
  }

  @Test
  void functionsOfLoopsAreFollowedAndCountedOnce() {
    Function<Ops, Operand<?>> bad = tf -> tf.strings.stringLength(tf.constant("abc"));
    var all =
        of(
            tf -> {
              Map<String, Operand<?>> carried = Map.of("i", tf.constant(0));
              for (String name : List.of("one", "two")) {
                new Loop(name, carried, Map.of())
                    .run(
                        tf,
                        (t, in) -> {
                          Operand<TInt32> i = in.get("i").asOutput().expect(TInt32.class);
                          return t.math.less(i, t.constant(3));
                        },
                        (t, in) -> {
                          Operand<TInt32> length = bad.apply(t).asOutput().expect(TInt32.class);
                          Operand<TInt32> i = in.get("i").asOutput().expect(TInt32.class);
                          return Map.of("i", t.math.add(i, length));
                        });
              }
            });
    assertThat(find(all, "StatelessWhile int32").count()).isEqualTo(2);
    OpKernels inside = find(all, "StringLength");
    assertThat(inside.count()).isEqualTo(2);
    assertThat(inside.node()).contains("_turn/");
    assertThat(inside.gpu()).isEqualTo(Support.NONE);
  }

  @Test
  void sizesThatFollowFromValuesAreOpenEvenIfXlaCompilesThem() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Operand<TFloat32> x = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, -1)));
      Operand<TBool> positive = tf.math.greater(x, tf.constant(0f));
      tf.math.neg(tf.withName("places").where(positive));
      tf.reshape(x, tf.constant(new int[] {-1}));
      try (TFloat32 given = Tensors.of(new float[6], 2, 3)) {
        var definition = StaticForm.of(graph.toGraphDef(), Map.of(x.asOutput().op().name(), given));
        assertThat(StaticForm.openSizes(definition)).containsExactly("Where (node places)");
      }
    }
  }

  @Test
  void theShippedListIsThatOfTheLibrary() {
    RegisteredKernels gpu = RegisteredKernels.ofGpuLibrary();
    assertThat(gpu.isForGpus()).isTrue();
    assertThat(gpu.devices("MatMul")).contains(RegisteredKernels.GPU, RegisteredKernels.XLA_GPU);
    assertThat(gpu.devices("AsString")).isEmpty();
  }
}
