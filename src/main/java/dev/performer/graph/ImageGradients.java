package dev.performer.graph;

import static java.util.Arrays.asList;

import java.util.List;
import org.tensorflow.Output;

/** Gradients of convolutions, pools and patches, and of the gradients of some. */
final class ImageGradients {
  private static final String[] CONVOLUTION = {"strides", "padding", "data_format", "dilations"};
  private static final String[] FLAT_CONVOLUTION = {
    "strides", "padding", "explicit_paddings", "data_format", "dilations"
  };
  private static final String[] POOL = {"ksize", "strides", "padding", "data_format"};

  private ImageGradients() {}

  static void register(GradientRules rules) {
    rules.all(
        of ->
            List.of(
                of.op("Conv3DBackpropInputV2", of.same(CONVOLUTION), shape(of, 0), of.y, of.dy),
                of.op("Conv3DBackpropFilterV2", of.same(CONVOLUTION), of.x, shape(of, 1), of.dy)),
        "Conv3D");
    backpropagated(rules, "Conv3D", "V2", CONVOLUTION);
    backpropagated(rules, "Conv2D", "", FLAT_CONVOLUTION);
    backpropagated(rules, "DepthwiseConv2dNative", "", FLAT_CONVOLUTION);
    rules.all(ImageGradients::dilation, "Dilation2D");
    rules.first(of -> patches(of, 2), "ExtractImagePatches");
    rules.first(of -> patches(of, 3), "ExtractVolumePatches");
    rules.first(
        of -> {
          var same = of.same("ksize", "strides", "padding", "include_batch_in_index");
          return of.op("MaxPoolGradWithArgmax", same, of.x, of.dy, of.output(1));
        },
        "MaxPoolWithArgmax");
    rules.all(of -> asList(null, null, ofPool(of, "MaxPoolGradGrad")), "MaxPoolGrad");
    rules.all(of -> asList(null, null, ofPool(of, "MaxPool3DGradGrad")), "MaxPool3DGrad");
    rules.all(of -> asList(null, of.op("AvgPool", of.same(POOL), of.dy)), "AvgPoolGrad");
    rules.all(of -> asList(null, of.op("AvgPool3D", of.same(POOL), of.dy)), "AvgPool3DGrad");
    rules.first(of -> of.op("BiasAdd", of.same("data_format"), of.zeros(0), of.dy), "BiasAddGrad");
    rules.first(ImageGradients::hueSaturationValue, "RGBToHSV");
    rules.first(ImageGradients::fakeQuantized, "FakeQuantWithMinMaxArgs");
    for (String op : List.of("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")) {
      rules.all(ImageGradients::fakeQuantizedInRange, op);
    }
  }

  private static Output<?> shape(NodeGradient of, int input) {
    return of.op("Shape", of.input(input));
  }

  /** Of the two ops that make a convolution's gradient: each is linear in both its tensors. */
  private static void backpropagated(
      GradientRules rules, String convolution, String version, String[] attributes) {
    String input = convolution + "BackpropInput" + version;
    String filter = convolution + "BackpropFilter" + version;
    rules.all(
        of ->
            asList(
                null,
                of.op(filter, of.same(attributes), of.dy, shape(of, 1), of.input(2)),
                of.op(convolution, of.same(attributes), of.dy, of.y)),
        input);
    rules.all(
        of ->
            asList(
                of.op(input, of.same(attributes), shape(of, 0), of.dy, of.input(2)),
                null,
                of.op(convolution, of.same(attributes), of.x, of.dy)),
        filter);
  }

  private static List<Output<?>> dilation(NodeGradient of) {
    var same = of.same("strides", "rates", "padding");
    return List.of(
        of.op("Dilation2DBackpropInput", same, of.x, of.y, of.dy),
        of.op("Dilation2DBackpropFilter", same, of.x, of.y, of.dy));
  }

  /**
   * Of {@code [B, place…, C]}: the same patches of the numbers 1… of the places, 0 in the padding,
   * show where each value came from.
   */
  private static Output<?> patches(NodeGradient of, int dimensions) {
    Output<?> shape = of.op("Shape", of.x);
    Output<?> places = of.slice(shape, 1, dimensions + 1);
    Output<?> count = of.op("Prod", places, of.ints(0));
    Output<?> numbers = of.op("AddV2", of.range(count), of.integer(1));
    Output<?> image = of.op("Reshape", numbers, of.concat(of.ints(1), places, of.ints(1)));
    String[] attributes =
        dimensions == 2
            ? new String[] {"ksizes", "strides", "rates", "padding"}
            : new String[] {"ksizes", "strides", "padding"};
    // Floats hold these numbers exactly, and have a kernel in each version.
    Output<?> taken = of.op(of.type(), of.same(attributes), of.cast(image, of.number(0d)));
    Output<?> sources = of.flat(of.op("Cast", b -> b.setAttr("DstT", shape.dataType()), taken));
    Output<?> batch = of.slice(shape, 0, 1);
    Output<?> channels = of.slice(shape, dimensions + 1, dimensions + 2);
    Output<?> size = of.op("Size", sources);
    Output<?> values =
        of.op("Reshape", of.dy, of.concat(batch, of.op("Reshape", size, of.ints(1)), channels));
    Output<?> rows = of.op("Transpose", values, of.ints(1, 0, 2)); // [source, B, C]
    Output<?> segments = of.op("AddV2", count, of.integer(1));
    Output<?> sums = of.op("UnsortedSegmentSum", rows, sources, segments);
    Output<?> perPlace = of.op("Transpose", of.gather(sums, numbers), of.ints(1, 0, 2));
    return of.op("Reshape", perPlace, shape);
  }

  private static Output<?> ofPool(NodeGradient of, String op) {
    return of.op(op, of.same(POOL), of.x, of.y, of.dy);
  }

  private static Output<?> fakeQuantized(NodeGradient of) {
    var same = of.same("min", "max", "num_bits", "narrow_range");
    return of.op("FakeQuantWithMinMaxArgsGradient", same, of.dy, of.x);
  }

  private static List<Output<?>> fakeQuantizedInRange(NodeGradient of) {
    var builder = of.builder(of.type() + "Gradient", of.dy, of.x, of.y, of.input(2));
    var operation = of.same("num_bits", "narrow_range").apply(builder).build();
    return List.of(operation.output(0), operation.output(1), operation.output(2));
  }

  /**
   * With R = max − min: hue n/6R plus a constant, where n is the difference of the two other colors
   * in their order, saturation R/max, value max.
   */
  private static Output<?> hueSaturationValue(NodeGradient of) {
    Output<?> isMax = oneHot(of, "ArgMax");
    Output<?> isMin = oneHot(of, "ArgMin");
    Output<?> max = of.keepingDims("Sum", of.mul(isMax, of.x), of.ints(-1));
    Output<?> min = of.keepingDims("Sum", of.mul(isMin, of.x), of.ints(-1));
    Output<?> range = of.op("Sub", max, min);
    Output<?> slope = of.op("Sub", of.roll(isMax, 1, -1), of.roll(isMax, 2, -1));
    Output<?> difference = of.keepingDims("Sum", of.mul(slope, of.x), of.ints(-1));
    Output<?> spread = of.mul(of.op("DivNoNan", difference, range), of.op("Sub", isMax, isMin));
    Output<?> hue = of.op("DivNoNan", of.mul(1 / 6d, of.op("Sub", slope, spread)), range);
    Output<?> ratio = of.mul(of.op("DivNoNan", min, max), isMax);
    Output<?> saturation = of.op("DivNoNan", of.op("Sub", ratio, isMin), max);
    Output<?> all = of.mul(channel(of, 0), hue);
    all = of.op("AddV2", all, of.mul(channel(of, 1), saturation));
    return of.op("AddV2", all, of.mul(channel(of, 2), isMax));
  }

  private static Output<?> oneHot(NodeGradient of, String place) {
    Output<?> one = of.scalar(1, of.x);
    Output<?> index = of.op(place, of.x, of.integer(-1));
    return of.op("OneHot", index, of.integer(3), one, of.scalar(0, of.x));
  }

  private static Output<?> channel(NodeGradient of, int number) {
    return of.gatherLast(of.dy, of.ints(number));
  }
}
