package dev.performer.graph;

import java.util.List;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;

/**
 * Gradient of a convolution with dilations or explicit paddings, which TensorFlow's own forgets. It
 * belongs to an {@code IdentityN} over the convolution's output, input and filter.
 */
record ConvolutionGradient(String type, Map<String, AttrValue> attributes)
    implements RawCustomGradient {
  private static final List<String> ATTRIBUTES =
      List.of("strides", "padding", "explicit_paddings", "data_format", "dilations");

  static ConvolutionGradient of(NodeDef convolution) {
    return new ConvolutionGradient(convolution.getOp(), convolution.getAttrMap());
  }

  /** Whether TensorFlow's own gradient would be wrong. */
  boolean isNeeded() {
    AttrValue none = AttrValue.getDefaultInstance();
    List<Long> dilations = attributes.getOrDefault("dilations", none).getList().getIList();
    return dilations.stream().anyMatch(dilation -> dilation != 1)
        || attributes.getOrDefault("padding", none).getS().toStringUtf8().equals("EXPLICIT");
  }

  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawOps ops = new RawOps(tf);
    Output<?> dy = gradients.get(0);
    Output<?> x = node.input(1);
    Output<?> filter = node.input(2);
    // The other two outputs of the IdentityN have no consumers.
    return List.of(
        dy,
        ops.op(type + "BackpropInput", this::configure, ops.op("Shape", x), filter, dy),
        ops.op(type + "BackpropFilter", this::configure, x, ops.op("Shape", filter), dy));
  }

  private OperationBuilder configure(OperationBuilder builder) {
    for (String attribute : ATTRIBUTES) {
      if (attributes.containsKey(attribute)) {
        builder.setAttr(attribute, attributes.get(attribute));
      }
    }
    return builder;
  }
}
